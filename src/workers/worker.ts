import { channels } from '../channels.ts';
import type { DropEvent, FaultEvent, RunEvent } from '../channels.ts';
import { toMillraceError } from '../errors.ts';
import type { TakenJob } from '../queues/job-queue.ts';
import type { InferenceJob } from '../queues/job.ts';
import type { ResultPublisher } from '../queues/result-channel.ts';
import { resultSchemaVersion } from '../queues/result.ts';
import type { ModelVersion } from '../registry/model-version.ts';
import { rowCount } from '../tensors/batch.ts';
import { decodeTensors } from '../tensors/binary-codec.ts';
import type { NamedTensors } from '../tensors/tensor.ts';
import type { HostPool } from './host-pool.ts';
import { isolate } from './isolate.ts';
import type { Part } from './isolate.ts';
import { dropExpired, failAll, openRows, takeResults } from './live-rows.ts';
import type { LiveRows } from './live-rows.ts';
import type { Lease, ModelPool } from './model-pool.ts';
import type { Quarantine } from './quarantine.ts';
import { isSuspect, RangeRuns } from './range-runs.ts';
import { planRuns, runRowsMax } from './run-plan.ts';
import type { VersionFaults } from './version-faults.ts';
import { resolveServed } from './version-source.ts';
import type { VersionSource } from './version-source.ts';

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

/** A job's way through a worker. */
interface Passage {
  readonly taken: TakenJob;
  readonly takenAtMs: number;
  /** With what has been measured; undefined until the first run. */
  runs: RangeRuns | undefined;
  /** It went wrong without a run. */
  isFailed: boolean;
}

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
    const passage: Passage = { taken, takenAtMs, runs: undefined, isFailed: false };
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
      batchRows: passage.runs?.runRows ?? 0,
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
      const version = await resolveServed(this.#options.versions, job);
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
      passage.isFailed = true;
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
    const { taken } = passage;
    const { job, signal } = taken;
    const { hosts, faults } = this.#options;
    const deadlineMs = deadlineOf(rows);
    const runs = new RangeRuns(this.#options, {
      name: `job ${job.id}`,
      version,
      lease,
      lane: job.lane,
      outputs: job.outputs,
      tensors: rows.tensors,
      deadlineMs: () => deadlineMs,
      signal,
      isSuspect: isSuspect(taken.startCount, version, faults),
    });
    passage.runs = runs;
    const ranges = planRuns(rowCount(rows.tensors), version.signature.batch, this.#rowsMax(version, job));
    return isolate(ranges, (range) => runs.attempt(range), { concurrency: hosts.hostCount });
  }

  #rowsMax({ manifest }: ModelVersion, { payload, entries }: InferenceJob): number {
    const rowBytes = payload.byteLength / entries.reduce((rows, entry) => rows + entry.rowCount, 0);
    return runRowsMax(manifest, this.#options.batchRowsMax, rowBytes);
  }

  #report(passage: Passage, rows: LiveRows): void {
    const { job } = passage.taken;
    const outcome = passage.isFailed ? 'failed' : (passage.runs?.outcome ?? 'succeeded');
    const isExpiredOnly =
      rows.failures.length > 0 && rows.failures.every(({ reason }) => reason === 'expired');
    const event: RunEvent = {
      jobId: job.id,
      model: job.model,
      version: job.version,
      lane: job.lane,
      outcome: outcome === 'succeeded' && isExpiredOnly ? 'expired' : outcome,
      rows: job.entries.reduce((sum, entry) => sum + entry.rowCount, 0),
      ...timingsOf(passage),
    };
    channels.run.publish(event);
  }
}

function timingsOf({ taken, takenAtMs, runs }: Passage): {
  readonly queueMs: number;
  readonly waitMs: number;
  readonly runMs: number;
} {
  // The clocks of API and worker may differ by a fraction of a round trip.
  const queueMs = Math.max(0, takenAtMs - taken.job.submittedAtMs);
  const waitMs = Math.max(0, (runs?.startedAtMs ?? takenAtMs) - takenAtMs);
  return { queueMs, waitMs, runMs: runs?.runMs ?? 0 };
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
