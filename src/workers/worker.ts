import { channels } from '../channels.ts';
import type { DropEvent, FaultEvent, RunEvent } from '../channels.ts';
import { MillraceError, toMillraceError } from '../errors.ts';
import { compilePostprocess } from '../processing/postprocess/compile.ts';
import { compilePreprocess } from '../processing/preprocess/compile.ts';
import type { TakenJob } from '../queues/job-queue.ts';
import type { InferenceJob } from '../queues/job.ts';
import type { ResultPublisher } from '../queues/result-channel.ts';
import { resultSchemaVersion } from '../queues/result.ts';
import type { ModelVersion } from '../registry/model-version.ts';
import { rowCount, sliceRows } from '../tensors/batch.ts';
import { decodeTensors } from '../tensors/binary-codec.ts';
import type { NamedTensors } from '../tensors/tensor.ts';
import type { HostPool, PoolRun, RunOutcome } from './host-pool.ts';
import { isolate } from './isolate.ts';
import type { Attempt, Part } from './isolate.ts';
import { dropExpired, failAll, openRows, takeResults } from './live-rows.ts';
import type { LiveRows } from './live-rows.ts';
import type { Lease, ModelPool } from './model-pool.ts';
import type { Quarantine } from './quarantine.ts';
import { fromRunOutputs, planRuns, toRunInputs } from './run-plan.ts';
import type { RowRange } from './run-plan.ts';
import type { VersionFaults } from './version-faults.ts';

export interface WorkerOptions {
  readonly workerId: string;
  readonly hosts: HostPool;
  readonly quarantine: Quarantine;
  readonly faults: VersionFaults;
  readonly models: ModelPool;
  readonly versions: VersionSource;
  readonly publisher: ResultPublisher;
  /** Most rows in one run of a version whose manifest does not say. */
  readonly batchRowsMax: number;
  /** The shared clock. */
  readonly nowMs: () => number;
}

/** What the worker needs of the registry's resolver. */
export interface VersionSource {
  /** Throws `not_found`. */
  resolve(model: string, version: string): ModelVersion;
  refresh(): Promise<void>;
}

/** A job's way through a worker, with what has been measured on it. */
interface Passage {
  readonly taken: TakenJob;
  readonly takenAtMs: number;
  /** When the first run began; the time of taking until then. */
  startedAtMs: number;
  runMs: number;
  runRows: number;
  outcome: RunEvent['outcome'];
  /** Its next run may end its host, so that it gets the one apart. */
  isSuspect: boolean;
}

/** A third start may be a job that killed two workers. */
const startsSuspected = 3;

/**
 * What a worker does with a job: drop what expired, load, preprocess, run, isolate what fails, postprocess,
 * publish. Whoever calls settles the job afterwards. A job that a host died of goes on in quarantine; so does one
 * on its third start, and one of a version that ends its hosts again and again.
 */
export class Worker {
  readonly #options: WorkerOptions;
  #inHandCount = 0;

  constructor(options: WorkerOptions) {
    this.#options = options;
  }

  /**
   * Resolves when the answer is published, or when the lock was lost and the answer is another worker's.
   * Rejects with `service_unavailable` when the answer could not be published: the job must run again.
   */
  async run(taken: TakenJob): Promise<void> {
    this.#inHandCount += 1;
    try {
      await this.#answer(taken);
    } finally {
      this.#inHandCount -= 1;
    }
  }

  /** Jobs taken and not yet answered. */
  get inHandCount(): number {
    return this.#inHandCount;
  }

  async #answer(taken: TakenJob): Promise<void> {
    const { nowMs, publisher, workerId } = this.#options;
    const { job, signal } = taken;
    const takenAtMs = nowMs();
    const passage: Passage = {
      taken,
      takenAtMs,
      startedAtMs: takenAtMs,
      runMs: 0,
      runRows: 0,
      outcome: 'succeeded',
      isSuspect: taken.startCount >= startsSuspected || this.#options.faults.isRepeated(job),
    };
    const rows = this.#dropExpired(await this.#infer(passage), nowMs(), 'publish');
    this.#report(passage, rows);
    if (signal.aborted) return;
    await publisher.publish(job.replyTo, {
      schemaVersion: resultSchemaVersion,
      id: job.id,
      workerId,
      failures: rows.failures.toSorted((a, b) => a.entryIndex - b.entryIndex),
      tensors: rows.tensors,
      timings: timingsOf(passage),
      batchRows: passage.runRows,
    });
  }

  /** Never rejects: what goes wrong is every live entry's failure. */
  async #infer(passage: Passage): Promise<LiveRows> {
    const { nowMs } = this.#options;
    const { job } = passage.taken;
    let rows: LiveRows = { entries: entriesOf(job), tensors: new Map(), failures: [] };
    let lease: Lease | undefined;
    try {
      rows = this.#dropExpired(openRows(job.entries, decodeTensors(job.payload)), nowMs(), 'taking');
      if (rows.entries.length === 0) return rows;
      const version = await this.#resolve(job);
      lease = await this.#acquire(version, deadlineOf(rows));
      // Without a lease all are late, whatever the clock says by now: a live entry's rows would pass for results.
      rows = this.#dropExpired(rows, lease === undefined ? Number.POSITIVE_INFINITY : nowMs(), 'loading');
      if (lease === undefined || rows.entries.length === 0) return rows;
      const results = takeResults(rows, await this.#runAll(passage, rows, version, lease));
      publishExpired(results, rows, 'run');
      return results;
    } catch (error) {
      const known = toMillraceError(error);
      if (known.code === 'internal_error') publishFault(`Job ${job.id} of ${job.model} failed`, error);
      passage.outcome = 'failed';
      return failAll(rows, known);
    } finally {
      lease?.release();
    }
  }

  #dropExpired(rows: LiveRows, nowMs: number, stage: DropEvent['stage']): LiveRows {
    const kept = dropExpired(rows, nowMs);
    publishExpired(kept, rows, stage);
    return kept;
  }

  /** The very file that the API saw: a version name is never bound to another, so a difference is a mix-up. */
  async #resolve({ model, version, servedDigest }: InferenceJob): Promise<ModelVersion> {
    const { versions } = this.#options;
    let known: ModelVersion;
    try {
      known = versions.resolve(model, version);
    } catch {
      await versions.refresh();
      known = versions.resolve(model, version);
    }
    if (known.servedDigest !== servedDigest)
      throw new MillraceError(
        'conflict',
        `${model}/${version} is another file here than where the job was made`,
      );
    return known;
  }

  /** Undefined when the deadline passed first; the version then goes on loading for those who come after. */
  async #acquire(version: ModelVersion, deadlineMs: number): Promise<Lease | undefined> {
    const acquired = this.#options.models.acquire(version);
    const late = Promise.withResolvers<undefined>();
    const timer = setTimeout(() => late.resolve(undefined), Math.max(0, deadlineMs - this.#options.nowMs()));
    try {
      const lease = await Promise.race([acquired, late.promise]);
      if (lease === undefined)
        acquired.then(
          (unused) => unused.release(),
          () => {},
        );
      return lease;
    } finally {
      clearTimeout(timer);
    }
  }

  #runAll(
    passage: Passage,
    rows: LiveRows,
    version: ModelVersion,
    lease: Lease,
  ): Promise<readonly Part<NamedTensors>[]> {
    const totalRows = rowCount(rows.tensors);
    const rowsMax = this.#rowsMax(version, passage.taken.job);
    const ranges = planRuns(totalRows, version.signature.batch, rowsMax);
    const attempt = (range: RowRange): Promise<Attempt<NamedTensors>> =>
      this.#attempt(passage, rows, range, version, lease);
    return isolate(ranges, attempt, { concurrency: this.#options.hosts.hostCount });
  }

  #rowsMax({ manifest }: ModelVersion, { payload, entries }: InferenceJob): number {
    const rowsMax = manifest.batching?.max_batch_size ?? this.#options.batchRowsMax;
    const bytesMax = manifest.batching?.max_batch_bytes;
    if (bytesMax === undefined) return rowsMax;
    const rowBytes = payload.byteLength / entries.reduce((rows, entry) => rows + entry.rowCount, 0);
    return Math.max(1, Math.min(rowsMax, Math.floor(bytesMax / rowBytes)));
  }

  async #attempt(
    passage: Passage,
    rows: LiveRows,
    range: RowRange,
    version: ModelVersion,
    lease: Lease,
  ): Promise<Attempt<NamedTensors>> {
    const { job, signal } = passage.taken;
    const { batch } = version.signature;
    // Another worker has the job: what is computed from here on, nobody reads.
    if (signal.aborted) return { kind: 'expired' };
    const postprocess = compilePostprocess(version);
    try {
      const inputs = compilePreprocess(version)(sliceRows(rows.tensors, range.fromRow, range.rowCount));
      const run = {
        key: lease.key,
        lane: job.lane,
        outputs: postprocess.graphOutputs(job.outputs),
        tensors: toRunInputs(inputs, batch),
        deadlineMs: deadlineOf(rows),
      };
      const outcome = await this.#runOnce(passage, run, range);
      if (outcome.kind !== 'ran') {
        this.#note(passage, range, outcome, version);
        return outcome;
      }
      if (passage.runMs === 0) passage.startedAtMs = outcome.startedAtMs;
      passage.runMs += outcome.runMs;
      passage.runRows = Math.max(passage.runRows, range.rowCount);
      const outputs = fromRunOutputs(outcome.tensors, range.rowCount, batch);
      return { kind: 'ran', value: postprocess.apply(outputs, range.rowCount, job.outputs) };
    } catch (error) {
      const outcome = { kind: 'failed', error: toMillraceError(error) } as const;
      this.#note(passage, range, outcome, version);
      return outcome;
    }
  }

  /** A host that died under a run may have died of something else: a lone row runs once more, then it is the row. */
  async #runOnce(passage: Passage, run: PoolRun, range: RowRange): Promise<RunOutcome> {
    const { hosts, quarantine } = this.#options;
    if (!passage.isSuspect) {
      const outcome = await hosts.run(run);
      if (outcome.kind !== 'host_died') return outcome;
      passage.isSuspect = true;
      if (range.rowCount > 1) return outcome;
    }
    const spec = hosts.specOf(run.key);
    // It ended hosts also by being loaded, and was given up meanwhile.
    if (spec === undefined)
      throw new MillraceError('service_unavailable', `${run.key} is no longer loaded`, { retryAfterS: 1 });
    return quarantine.run(spec, run);
  }

  /**
   * The outcome of a job is the last thing that went wrong in it. A lone row that kills is an alarm, and so is a
   * run that fails through no fault of its input: alone, each of its rows may well succeed, and no answer shows it.
   */
  #note(passage: Passage, range: RowRange, outcome: Attempt<unknown>, version: ModelVersion): void {
    if (outcome.kind !== 'ran') passage.outcome = outcome.kind;
    if (outcome.kind === 'failed' && outcome.error.code === 'internal_error')
      publishFault(`A run of ${version.model}/${version.version} failed`, outcome.error);
    if (outcome.kind === 'host_hung') this.#options.faults.record(version, outcome.kind);
    if (outcome.kind !== 'host_died' || range.rowCount > 1) return;
    this.#options.faults.record(version, outcome.kind);
    publishFault(`A row of job ${passage.taken.job.id} ends the host of ${version.model}/${version.version}`);
  }

  #report(passage: Passage, rows: LiveRows): void {
    const { job } = passage.taken;
    const isExpiredOnly =
      rows.failures.length > 0 && rows.failures.every(({ reason }) => reason === 'expired');
    const event: RunEvent = {
      jobId: job.id,
      model: job.model,
      version: job.version,
      lane: job.lane,
      outcome: passage.outcome === 'succeeded' && isExpiredOnly ? 'expired' : passage.outcome,
      rows: job.entries.reduce((sum, entry) => sum + entry.rowCount, 0),
      ...timingsOf(passage),
    };
    channels.run.publish(event);
  }
}

function timingsOf({ taken, takenAtMs, startedAtMs, runMs }: Passage): {
  readonly queueMs: number;
  readonly waitMs: number;
  readonly runMs: number;
} {
  // The clocks of API and worker may differ by a fraction of a round trip.
  const queueMs = Math.max(0, takenAtMs - taken.job.submittedAtMs);
  return { queueMs, waitMs: Math.max(0, startedAtMs - takenAtMs), runMs };
}

function entriesOf({ entries }: InferenceJob): LiveRows['entries'] {
  return entries.map(({ rowCount: rows, deadlineMs }, entryIndex) => ({
    entryIndex,
    rowCount: rows,
    deadlineMs,
  }));
}

function deadlineOf({ entries }: LiveRows): number {
  return Math.max(...entries.map(({ deadlineMs }) => deadlineMs));
}

/** Those of `after` that had not expired `before`. */
function publishExpired(after: LiveRows, before: LiveRows, stage: DropEvent['stage']): void {
  const requests = expiredCount(after) - expiredCount(before);
  if (requests > 0) channels.drop.publish({ reason: 'expired', stage, requests } satisfies DropEvent);
}

function expiredCount({ failures }: LiveRows): number {
  return failures.filter(({ reason }) => reason === 'expired').length;
}

function publishFault(message: string, error?: unknown): void {
  const event: FaultEvent = { component: 'worker', message, error };
  channels.fault.publish(event);
}
