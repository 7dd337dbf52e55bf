import { monotonicFactory } from 'ulid';
import { channels } from '../channels.ts';
import { MillraceError, toMillraceError } from '../errors.ts';
import type { Manifest } from '../registry/manifest.ts';
import type { ModelVersion } from '../registry/model-version.ts';
import { encodeTensors } from '../tensors/binary-codec.ts';
import { joinRows, rowCount } from '../tensors/batch.ts';
import { createBatchFormer } from './batch-former.ts';
import type { Batch } from './batch-former.ts';
import { createDeadlineWheel } from './deadline-wheel.ts';
import type { DeadlineWheel } from './deadline-wheel.ts';
import { entryShares } from './entry-share.ts';
import type { JobProducer } from './job-queue.ts';
import { dropError, lateError, unavailable } from './coalescer-errors.ts';
import { end, isGone, jobEventOf, publishDrop, publishJobEvent } from './job-in-flight.ts';
import type { CoalescedAnswer, CoalescerRequest, Entry, JobInFlight } from './job-in-flight.ts';
import { jobSchemaVersion } from './job.ts';
import type { InferenceJob } from './job.ts';
import type { ResultReceiver } from './result-channel.ts';
import type { InferenceResult, ResultOutcome } from './result.ts';
import type { SharedClock } from './shared-clock.ts';
import { shed } from './shedding.ts';
import type { Backlog } from './shedding.ts';
import { VersionLoad } from './version-load.ts';
import type { VersionLimits } from './version-load.ts';

export type { CoalescedAnswer, CoalescerRequest };

export interface CoalescerLimits extends VersionLimits {
  /** Of one version. While fewer are out, whatever arrives leaves at the end of its turn. */
  readonly jobsInFlightMax: number;
  /**
   * Rows that may wait to leave, over all versions: the bound on this process's memory. A version gets no more of
   * them than are free besides, so that one which is flooded, or whose jobs hang, leaves room for the others.
   */
  readonly pendingRowsMax: number;
  /** How long a request may wait to leave in a queue that stands; see shedding.ts. */
  readonly queueDelayMsMax: number;
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
 * `service_unavailable` (no room, too long a wait, no queue, closed). A job's permit is given back exactly once: when
 * its result comes, when it could not be added or was taken back, or when the last of its deadlines has passed, so
 * that no lost job can hold up a version.
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

/** Rows of a version at work that are never a flood, but a few callers of a slow model, who would rather wait. */
const rowsFree = 64;
/** Part of its time that a request may wait to leave behind so few. */
const waitShare = 1 / 4;
/**
 * How often jobs are looked through for those whose callers have all left. A shorter life is over before it could
 * be taken back.
 */
const takeBackMs = 100;

class SelfClockedCoalescer implements Coalescer {
  readonly #options: CoalescerOptions;
  readonly #former = createBatchFormer<Entry>();
  readonly #wheel: DeadlineWheel;
  /** Unique is enough, unguessable is not needed; the default draws 16 times from the system a job, 30 µs. */
  readonly #newJobId = monotonicFactory(Math.random);
  readonly #loads = new WeakMap<ModelVersion, VersionLoad>();
  /** Jobs out, by version, a few of each; never an empty list. */
  readonly #inFlight = new Map<string, JobInFlight[]>();
  /** Runs while jobs are out. */
  #takeBackTimer: NodeJS.Timeout | undefined;
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
    for (const jobs of this.#inFlight.values()) count += jobs.length;
    return count;
  }

  submit(request: CoalescerRequest): Promise<CoalescedAnswer> {
    return new Promise((resolve, reject) => {
      const rows = rowCount(request.tensors);
      const load = this.#loadOf(request.version);
      const nowMs = this.#options.clock.nowMs();
      this.#admit(request, rows, load, nowMs);
      const entry: Entry = {
        request,
        versionKey: load.key,
        compatibilityKey: request.compatibilityKey,
        rowCount: rows,
        bytes: request.bytes,
        deadlineMs: request.deadlineMs,
        signal: request.signal,
        addedAtMs: nowMs,
        isOver: false,
        resolve,
        reject,
        expire: () => {
          // Its job may have taken it along in the same turn of the wheel.
          if (entry.isOver) return;
          publishDrop('expired', this.#former.remove(entry) ? 'batching' : 'result');
          end(entry, new MillraceError('timeout'));
        },
      };
      this.#former.add(entry, load.bounds);
      this.#wheel.add(entry);
      this.#scheduleFlush();
    });
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#takeBackTimer);
    const stopping = unavailable('The server is stopping');
    for (const flight of this.#flights()) this.#abandon(flight, stopping);
    // Later than every deadline: hands back all that wait.
    const { dropped } = this.#former.take(Number.POSITIVE_INFINITY);
    for (const { entry } of dropped) end(entry, stopping);
    this.#wheel.close();
  }

  #flights(): JobInFlight[] {
    return [...this.#inFlight.values()].flat();
  }

  #loadOf(version: ModelVersion): VersionLoad {
    let load = this.#loads.get(version);
    if (load === undefined) {
      load = new VersionLoad(version, this.#options.limits);
      this.#loads.set(version, load);
    }
    return load;
  }

  /** Throws where a request must not wait here. */
  #admit(request: CoalescerRequest, rows: number, load: VersionLoad, nowMs: number): void {
    if (this.#closed) throw unavailable('The server is stopping');
    const { pendingRowsMax, queueDelayMsMax } = this.#options.limits;
    if (this.#former.rowsOf(load.key) + rows > pendingRowsMax - this.#former.rowCount) {
      publishDrop('rejected', 'pending_rows');
      throw unavailable('Too many requests are waiting');
    }
    const remainingMs = request.deadlineMs - nowMs;
    const patience = {
      remainingMs,
      queueDelayMsMax,
      rowsFree,
      freeDelayMsMax: waitShare * remainingMs,
    };
    const refused = shed(this.#backlog(load, request.bytes / rows), rows, load.time, patience);
    if (refused === undefined) return;
    publishDrop('rejected', refused.reason);
    throw lateError(refused.drainMs);
  }

  #backlog({ key, bounds }: VersionLoad, rowBytes: number): Backlog {
    const flights = this.#inFlight.get(key);
    let rowsOut = 0;
    for (const { batch } of flights ?? []) rowsOut += batch.rowCount;
    return {
      waitingRows: this.#former.rowsOf(key),
      jobsOut: flights?.length ?? 0,
      rowsOut,
      jobsInFlightMax: this.#options.limits.jobsInFlightMax,
      batchRows: Math.max(1, Math.min(bounds.rowsMax, Math.floor(bounds.bytesMax / rowBytes))),
    };
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
      const { batch, dropped } = this.#former.take(nowMs, this.#hasPermit, this.#neededMs);
      for (const drop of dropped) {
        const { entry, reason } = drop;
        this.#wheel.remove(entry);
        if (reason === 'late') publishDrop('rejected', 'deadline');
        else publishDrop(reason, 'batching');
        end(entry, dropError(drop));
      }
      if (batch === undefined) return;
      this.#send(batch, nowMs);
    }
  };

  readonly #hasPermit = (versionKey: string): boolean =>
    (this.#inFlight.get(versionKey)?.length ?? 0) < this.#options.limits.jobsInFlightMax;

  /** What is sent too late is computed for nobody, and holds up those who could still be in time. */
  readonly #neededMs = ({ versionKey, request }: Entry): number => {
    if (!this.#inFlight.has(versionKey)) return 0;
    const { time, bounds } = this.#loadOf(request.version);
    return time.servedMs(Math.min(bounds.rowsMax, this.#former.rowsOf(versionKey)));
  };

  #send(batch: Batch<Entry>, nowMs: number): void {
    const { receiver, producer } = this.#options;
    let job: InferenceJob;
    try {
      job = this.#toJob(batch, nowMs);
    } catch (error) {
      this.#rejectAll(batch, toMillraceError(error));
      return;
    }
    const load = this.#loadOf((batch.entries[0] as Entry).request.version);
    const flight: JobInFlight = {
      job,
      batch,
      load,
      isCold: load.isCold,
      isAdded: false,
      isTakingBack: false,
      deadlineMs: Math.max(...batch.entries.map((entry) => entry.deadlineMs)),
      expire: () => {
        load.lost(batch.rowCount, this.#options.clock.nowMs() - job.submittedAtMs, flight.isCold);
        this.#abandon(flight, new MillraceError('timeout'));
      },
    };
    const flights = this.#inFlight.get(batch.versionKey);
    if (flights === undefined) this.#inFlight.set(batch.versionKey, [flight]);
    else flights.push(flight);
    this.#wheel.add(flight);
    receiver.expect(job.id, (outcome) => this.#settle(flight, outcome));
    publishJobEvent('submitted', flight);
    this.#takeBackTimer ??= setTimeout(this.#takeBackAbandoned, takeBackMs);
    // Redis may have the job although the reply was lost. That is safe: its result finds no waiter and is counted
    // as late, a run changes nothing, and a client that tries again makes a job of its own.
    producer.add(job).then(
      () => {
        flight.isAdded = true;
      },
      (error: unknown) => this.#abandon(flight, toMillraceError(error)),
    );
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
    if (outcome.kind === 'unreadable') {
      this.#rejectAll(flight.batch, outcome.error);
      return;
    }
    const { load, batch, job, isCold } = flight;
    const roundTripMs = this.#options.clock.nowMs() - job.submittedAtMs;
    load.settled(batch.rowCount, roundTripMs, outcome.result, isCold);
    this.#answerAll(flight, outcome.result);
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
      if (share.kind === 'failed') end(entry, share.error);
      else {
        entry.isOver = true;
        const batchWaitMs = job.submittedAtMs - entry.addedAtMs;
        entry.resolve({ result, firstRow: share.firstRow, rowCount: entry.rowCount, batchWaitMs });
      }
    }
  }

  /** Every request of it has expired or its caller has left. */
  readonly #takeBackAbandoned = (): void => {
    const flights = this.#flights();
    this.#takeBackTimer = flights.length > 0 ? setTimeout(this.#takeBackAbandoned, takeBackMs) : undefined;
    for (const flight of flights)
      if (flight.isAdded && !flight.isTakingBack && flight.batch.entries.every(isGone))
        void this.#takeBack(flight);
  };

  /** What a worker has already keeps its permit: it takes up a host until it is done or late. */
  async #takeBack(flight: JobInFlight): Promise<void> {
    flight.isTakingBack = true;
    const isBack = await this.#options.producer.takeBack(flight.job).catch(() => false);
    if (!isBack || !this.#finish(flight)) return;
    this.#options.receiver.forget(flight.job.id, () => undefined);
    publishJobEvent('lost', flight);
    for (const entry of flight.batch.entries) {
      if (entry.isOver) continue;
      this.#wheel.remove(entry);
      publishDrop('cancelled', 'lane');
      end(entry, entry.signal?.reason);
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
    const index = flights?.indexOf(flight) ?? -1;
    if (flights === undefined || index === -1) return false;
    flights.splice(index, 1);
    if (flights.length === 0) this.#inFlight.delete(versionKey);
    this.#wheel.remove(flight);
    if (this.#former.entryCount > 0) this.#scheduleFlush();
    return true;
  }

  #rejectAll(batch: Batch<Entry>, error: MillraceError): void {
    for (const entry of batch.entries) {
      if (entry.isOver) continue;
      this.#wheel.remove(entry);
      if (error.code === 'timeout') publishDrop('expired', 'result');
      end(entry, error);
    }
  }
}
