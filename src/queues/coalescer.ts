import { monotonicFactory } from 'ulid';
import { channels } from '../channels.ts';
import type { JobEvent } from '../channels.ts';
import { MillraceError, toMillraceError } from '../errors.ts';
import type { Manifest } from '../registry/manifest.ts';
import type { ModelVersion } from '../registry/model-version.ts';
import type { Signature } from '../registry/signature.ts';
import { encodeTensors } from '../tensors/binary-codec.ts';
import { joinRows, rowCount } from '../tensors/batch.ts';
import { isFixed } from '../tensors/shape.ts';
import type { NamedTensors } from '../tensors/tensor.ts';
import { createBatchFormer } from './batch-former.ts';
import type { Batch, BatchBounds, BatchEntry, Cancellation } from './batch-former.ts';
import { createDeadlineWheel } from './deadline-wheel.ts';
import type { DeadlineWheel, Expirable } from './deadline-wheel.ts';
import { entryShares } from './entry-share.ts';
import type { JobProducer } from './job-queue.ts';
import { jobEntriesMax, jobSchemaVersion } from './job.ts';
import type { InferenceJob } from './job.ts';
import type { ResultReceiver } from './result-channel.ts';
import type { InferenceResult, ResultOutcome } from './result.ts';
import type { SharedClock } from './shared-clock.ts';

export interface CoalescerRequest {
  readonly requestId: string;
  readonly version: ModelVersion;
  /** Packed; axis 0 of every tensor is rows, usually one. */
  readonly tensors: NamedTensors;
  /** Packed bytes of the tensors' data. */
  readonly bytes: number;
  /** Equal only for requests that may share a run: tensors that `joinRows` can join, and the same outputs. */
  readonly compatibilityKey: string;
  /** As in `InferenceJob.outputs`. */
  readonly outputs: readonly string[] | null;
  /** By the shared clock. */
  readonly deadlineMs: number;
  /** Once aborted the request does not leave any more, if it has not yet; its promise rejects with the reason. */
  readonly signal?: Cancellation;
}

/** The rows `firstRow` to `firstRow + rowCount` of every result tensor are this request's; nothing is copied. */
export interface CoalescedAnswer {
  readonly result: InferenceResult;
  readonly firstRow: number;
  readonly rowCount: number;
  /** From `submit` to the leaving of the job. */
  readonly batchWaitMs: number;
}

export interface CoalescerLimits {
  /** Of one version. While fewer are out, whatever arrives leaves at the end of its turn. */
  readonly jobsInFlightMax: number;
  readonly batchRowsMax: number;
  readonly batchBytesMax: number;
  /** Rows that may wait to leave, over all versions: the bound on this process's memory. */
  readonly pendingRowsMax: number;
}

export interface CoalescerOptions {
  readonly producer: JobProducer;
  readonly receiver: ResultReceiver;
  readonly clock: Pick<SharedClock, 'nowMs'>;
  readonly limits: CoalescerLimits;
  readonly poolOf: (manifest: Manifest) => string;
}

/**
 * Makes jobs of requests, by version. Self-clocked: while fewer than `jobsInFlightMax` jobs of a version are
 * out, whatever has arrived by the end of the event-loop turn leaves as one job; otherwise it gathers until a
 * job comes back. There is no delay timer: an idle system adds no wait, a busy one batches by itself.
 *
 * A request ends exactly once: answered, failed by its worker, `timeout` at its deadline, its signal's reason, or
 * `service_unavailable` (no room, no queue, closed). A job's permit is given back exactly once: when its result
 * comes, when it could not be added, or when the last of its deadlines has passed, so that no lost job can
 * hold up a version.
 *
 * What belongs before `submit`: look-up in the cache, single flight. What belongs into it: refusing at once
 * what cannot meet its deadline; `#finish` knows how long each job took.
 */
export interface Coalescer {
  /** Rejects with a MillraceError, or with the reason of the request's signal. */
  submit(request: CoalescerRequest): Promise<CoalescedAnswer>;
  readonly pendingRows: number;
  readonly jobsInFlight: number;
  /** Rejects what is still waiting with `service_unavailable`. Drain first. */
  close(): void;
}

export function createCoalescer(options: CoalescerOptions): Coalescer {
  return new SelfClockedCoalescer(options);
}

/** A request on its way: waiting in the batch former, then part of a job. */
interface Entry extends BatchEntry, Expirable {
  readonly request: CoalescerRequest;
  readonly addedAtMs: number;
  resolve(answer: CoalescedAnswer): void;
  reject(error: unknown): void;
}

/** Holds one of the version's permits until it is finished. */
interface JobInFlight extends Expirable {
  readonly job: InferenceJob;
  readonly batch: Batch<Entry>;
}

interface VersionFacts {
  readonly key: string;
  readonly bounds: BatchBounds;
}

const overloadRetryAfterS = 1;

class SelfClockedCoalescer implements Coalescer {
  readonly #options: CoalescerOptions;
  readonly #former = createBatchFormer<Entry>();
  readonly #wheel: DeadlineWheel;
  /** Unique is enough, unguessable is not needed; the default draws 16 times from the system a job, 30 µs. */
  readonly #newJobId = monotonicFactory(Math.random);
  readonly #facts = new WeakMap<ModelVersion, VersionFacts>();
  /** Jobs out, by version; never an empty set. */
  readonly #inFlight = new Map<string, Set<JobInFlight>>();
  #flushScheduled = false;
  #closed = false;

  constructor(options: CoalescerOptions) {
    this.#options = options;
    this.#wheel = createDeadlineWheel(() => options.clock.nowMs());
  }

  get pendingRows(): number {
    return this.#former.rowCount;
  }

  get jobsInFlight(): number {
    let count = 0;
    for (const jobs of this.#inFlight.values()) count += jobs.size;
    return count;
  }

  submit(request: CoalescerRequest): Promise<CoalescedAnswer> {
    return new Promise((resolve, reject) => {
      const rows = rowCount(request.tensors);
      if (this.#closed) throw unavailable('The server is stopping');
      if (this.#former.rowCount + rows > this.#options.limits.pendingRowsMax)
        throw unavailable('Too many requests are waiting');
      const { key, bounds } = this.#factsOf(request.version);
      const entry: Entry = {
        request,
        versionKey: key,
        compatibilityKey: request.compatibilityKey,
        rowCount: rows,
        bytes: request.bytes,
        deadlineMs: request.deadlineMs,
        signal: request.signal,
        addedAtMs: this.#options.clock.nowMs(),
        resolve,
        reject,
        expire: () => {
          this.#former.remove(entry);
          reject(new MillraceError('timeout'));
        },
      };
      this.#former.add(entry, bounds);
      this.#wheel.add(entry);
      this.#scheduleFlush();
    });
  }

  close(): void {
    this.#closed = true;
    const stopping = unavailable('The server is stopping');
    for (const flight of [...this.#inFlight.values()].flatMap((flights) => [...flights]))
      this.#abandon(flight, stopping);
    // Later than every deadline: hands back all that wait.
    const { dropped } = this.#former.take(Number.POSITIVE_INFINITY);
    for (const { entry } of dropped) entry.reject(stopping);
    this.#wheel.close();
  }

  #factsOf(version: ModelVersion): VersionFacts {
    const known = this.#facts.get(version);
    if (known !== undefined) return known;
    const { batchRowsMax, batchBytesMax } = this.#options.limits;
    const { max_batch_size, max_batch_bytes } = version.manifest.batching ?? {};
    const facts: VersionFacts = {
      key: `${version.model}/${version.version}`,
      bounds: {
        rowsMax: Math.min(
          batchRowsMax,
          max_batch_size ?? batchRowsMax,
          rowsOfOneShape(version.signature),
          jobEntriesMax,
        ),
        bytesMax: Math.min(batchBytesMax, max_batch_bytes ?? batchBytesMax),
      },
    };
    this.#facts.set(version, facts);
    return facts;
  }

  /** At the end of the turn, so that all requests which it brought in leave together. */
  #scheduleFlush(): void {
    if (this.#flushScheduled) return;
    this.#flushScheduled = true;
    setImmediate(this.#flush);
  }

  readonly #flush = (): void => {
    this.#flushScheduled = false;
    if (this.#closed) return;
    const nowMs = this.#options.clock.nowMs();
    for (;;) {
      const { batch, dropped } = this.#former.take(nowMs, this.#hasPermit);
      for (const { entry, reason } of dropped) {
        this.#wheel.remove(entry);
        entry.reject(reason === 'expired' ? new MillraceError('timeout') : entry.signal?.reason);
      }
      if (batch === undefined) return;
      this.#send(batch, nowMs);
    }
  };

  readonly #hasPermit = (versionKey: string): boolean =>
    (this.#inFlight.get(versionKey)?.size ?? 0) < this.#options.limits.jobsInFlightMax;

  #send(batch: Batch<Entry>, nowMs: number): void {
    const { receiver, producer } = this.#options;
    let job: InferenceJob;
    try {
      job = this.#toJob(batch, nowMs);
    } catch (error) {
      this.#rejectAll(batch, toMillraceError(error));
      return;
    }
    const flight: JobInFlight = {
      job,
      batch,
      deadlineMs: Math.max(...batch.entries.map((entry) => entry.deadlineMs)),
      expire: () => this.#abandon(flight, new MillraceError('timeout')),
    };
    const flights = this.#inFlight.get(batch.versionKey);
    if (flights === undefined) this.#inFlight.set(batch.versionKey, new Set([flight]));
    else flights.add(flight);
    this.#wheel.add(flight);
    receiver.expect(job.id, (outcome) => this.#settle(flight, outcome));
    publishJobEvent('submitted', flight);
    // Redis may have the job although the reply was lost. That is safe: its result finds no waiter and is counted
    // as late, a run changes nothing, and a client that tries again makes a job of its own.
    producer.add(job).catch((error: unknown) => this.#abandon(flight, toMillraceError(error)));
  }

  #toJob(batch: Batch<Entry>, nowMs: number): InferenceJob {
    const { version, outputs } = (batch.entries[0] as Entry).request;
    const { receiver, poolOf } = this.#options;
    return {
      schemaVersion: jobSchemaVersion,
      id: this.#newJobId(),
      model: version.model,
      version: version.version,
      servedDigest: version.servedDigest,
      pool: poolOf(version.manifest),
      lane: 'online',
      replyTo: receiver.replyTo,
      submittedAtMs: nowMs,
      entries: batch.entries.map(({ request, rowCount: rows, deadlineMs }) => ({
        requestId: request.requestId,
        rowCount: rows,
        deadlineMs,
      })),
      outputs,
      payload: encodeTensors(joinRows(batch.entries.map((entry) => entry.request.tensors))),
    };
  }

  #settle(flight: JobInFlight, outcome: ResultOutcome): void {
    if (!this.#finish(flight)) return;
    publishJobEvent('settled', flight);
    if (outcome.kind === 'unreadable') this.#rejectAll(flight.batch, outcome.error);
    else this.#answerAll(flight, outcome.result);
  }

  #answerAll({ batch, job }: JobInFlight, result: InferenceResult): void {
    let shares: ReturnType<typeof entryShares>;
    try {
      shares = entryShares(
        result,
        batch.entries.map((entry) => entry.rowCount),
      );
    } catch (error) {
      this.#rejectAll(batch, toMillraceError(error));
      return;
    }
    for (let i = 0; i < batch.entries.length; i++) {
      const entry = batch.entries[i] as Entry;
      const share = shares[i] as (typeof shares)[number];
      this.#wheel.remove(entry);
      if (share.kind === 'failed') entry.reject(share.error);
      else {
        const batchWaitMs = job.submittedAtMs - entry.addedAtMs;
        entry.resolve({ result, firstRow: share.firstRow, rowCount: entry.rowCount, batchWaitMs });
      }
    }
  }

  /** Gives up on a job that may still be run somewhere. */
  #abandon(flight: JobInFlight, error: MillraceError): void {
    if (!this.#finish(flight)) return;
    // Only the few facts are kept for the late result, not the tensors.
    const late = jobEventOf('late', flight);
    this.#options.receiver.forget(flight.job.id, () => channels.job.publish(late));
    publishJobEvent('lost', flight);
    this.#rejectAll(flight.batch, error);
  }

  /** Gives the permit back. False when that was done before: whoever comes second must do nothing. */
  #finish(flight: JobInFlight): boolean {
    const { versionKey } = flight.batch;
    const flights = this.#inFlight.get(versionKey);
    if (flights === undefined || !flights.delete(flight)) return false;
    if (flights.size === 0) this.#inFlight.delete(versionKey);
    this.#wheel.remove(flight);
    if (this.#former.entryCount > 0) this.#scheduleFlush();
    return true;
  }

  #rejectAll(batch: Batch<Entry>, error: MillraceError): void {
    for (const entry of batch.entries) {
      this.#wheel.remove(entry);
      entry.reject(error);
    }
  }
}

/**
 * Most rows whose answers surely have one shape, so that one result can hold them: where a model leaves the shape of
 * its outputs open, those of one run. Otherwise a neighbour's answer could make the whole job fail.
 */
function rowsOfOneShape({ outputs, batch }: Signature): number {
  if (batch.kind === 'dynamic') return Number.POSITIVE_INFINITY;
  const firstAxis = batch.kind === 'none' ? 0 : 1;
  if (outputs.every(({ shape }) => isFixed(shape.slice(firstAxis)))) return Number.POSITIVE_INFINITY;
  return batch.kind === 'none' ? 1 : batch.size;
}

function unavailable(message: string): MillraceError {
  return new MillraceError('service_unavailable', message, { retryAfterS: overloadRetryAfterS });
}

function publishJobEvent(phase: JobEvent['phase'], flight: JobInFlight): void {
  if (channels.job.hasSubscribers) channels.job.publish(jobEventOf(phase, flight));
}

function jobEventOf(phase: JobEvent['phase'], { job, batch }: JobInFlight): JobEvent {
  const { id: jobId, model, version, lane } = job;
  return { phase, jobId, model, version, lane, rows: batch.rowCount, entries: batch.entries.length };
}
