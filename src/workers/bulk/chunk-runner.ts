import { channels } from '../../channels.ts';
import type { ChunkEvent, FaultEvent } from '../../channels.ts';
import { MillraceError, toMillraceError } from '../../errors.ts';
import { chunkName } from '../../queues/batch/batch-fields.ts';
import type { BatchLedger, ChunkStore, ChunkWork, DeadLetters } from '../../queues/batch/batch-ledger.ts';
import type { ChunkRef } from '../../queues/batch/batch.ts';
import type { TakenChunk } from '../../queues/batch/bulk-consumer.ts';
import { decodeChunkInput, encodeChunkResult } from '../../queues/batch/chunk.ts';
import type { ChunkInput } from '../../queues/batch/chunk.ts';
import type { ModelVersion } from '../../registry/model-version.ts';
import { rowCount } from '../../tensors/batch.ts';
import { encodedBytes } from '../../tensors/binary-codec.ts';
import type { NamedTensors } from '../../tensors/tensor.ts';
import { isolate, mayBeOfSomeRow } from '../isolate.ts';
import type { Attempt, Part } from '../isolate.ts';
import type { Lease, ModelPool } from '../model-pool.ts';
import { isSuspect, RangeRuns } from '../range-runs.ts';
import type { RangeRunsOptions } from '../range-runs.ts';
import { cutRuns, runRowsMax } from '../run-plan.ts';
import type { RowRange } from '../run-plan.ts';
import { resolveServed } from '../version-source.ts';
import type { VersionSource } from '../version-source.ts';
import { bulkErrorOf, deadLettersOf, endOf, failAll, failUnreadable } from './chunk-rows.ts';
import type { ChunkEnd } from './chunk-rows.ts';
import { ChunkWatch } from './chunk-watch.ts';
import type { RunCosts } from './run-costs.ts';

export interface ChunkRunnerOptions extends RangeRunsOptions {
  readonly models: ModelPool;
  readonly versions: VersionSource;
  readonly ledger: Pick<BatchLedger, 'begin' | 'wanted' | 'settle' | 'chunks'>;
  readonly chunks: ChunkStore;
  readonly deadLetters: Pick<DeadLetters, 'add'>;
  /** Called when a chunk may have made room in the lane. */
  readonly feed: () => void;
  readonly costs: Pick<RunCosts, 'rowsFor' | 'observe'>;
  /** How long one run should take, so that a prediction that comes waits no longer. */
  readonly runMsTarget: number;
  /** Most rows in one run of a version whose manifest does not say. */
  readonly runRowsMax: number;
  /** The shared clock. */
  readonly nowMs: () => number;
}

/**
 * A run that has found no host for so long has met a fault, and its chunk is tried again later. Longer than some rows that
 * hang (`worker.run_timeout_ms`) hold up others in quarantine.
 */
const hostWaitMsMax = 300_000;
/**
 * A chunk that takes whole workers down with it, as one that is too large for their container does, must end some time.
 * From its third start on its rows run in quarantine; so many starts without an end are no chance, not even where workers
 * are killed every minute. Its rows are kept as dead letters.
 */
const startsMax = 20;
/** A killer among 1,000 rows takes five deaths to find: room for some 25 of them, at 0.2 s and more each. */
const deathsMax = 128;
/** Each goes with its input, and Redis serves nobody else meanwhile. */
const lettersAtOnce = 100;
/** Twice the rows, less one: what it takes to find out that every row fails alone. */
const partsPerRow = 2;

type Run = Extract<ChunkWork, { kind: 'run' }>;

/** A chunk's way through a worker. */
interface Passage {
  readonly taken: TakenChunk;
  readonly work: Run;
  readonly takenAtMs: number;
  runs: RangeRuns | undefined;
}

/**
 * What a worker does with a chunk: read it, load, run its rows in runs of about `runMsTarget`, isolate what fails, settle.
 * Rows that fail end as such and in the dead letters; what may pass (Redis, the registry, hosts that do not load) rejects,
 * so that the chunk comes again, until its last attempt.
 */
export class ChunkRunner {
  readonly #options: ChunkRunnerOptions;
  #inHandCount = 0;

  constructor(options: ChunkRunnerOptions) {
    this.#options = options;
  }

  /**
   * Resolves when the chunk is settled (or was already, or nobody wants it any more), or when the lock was lost and it is
   * another worker's. Rejects when another attempt makes sense.
   */
  async run(taken: TakenChunk): Promise<void> {
    this.#inHandCount += 1;
    try {
      await this.#run(taken);
    } finally {
      this.#inHandCount -= 1;
      // Also a chunk of which nothing is to be run leaves room, or one that leaves for a while.
      this.#options.feed();
    }
  }

  /** Chunks taken and not yet settled. */
  get inHandCount(): number {
    return this.#inHandCount;
  }

  async #run(taken: TakenChunk): Promise<void> {
    const { ledger, nowMs } = this.#options;
    const takenAtMs = nowMs();
    const work = await ledger.begin(taken.ref);
    if (work.kind === 'nothing') return;
    const passage: Passage = { taken, work, takenAtMs, runs: undefined };
    try {
      const outcome = await this.#settle(passage);
      if (outcome !== undefined) this.#report(passage, outcome);
    } catch (error) {
      this.#report(passage, { outcome: 'retried' });
      throw error;
    }
  }

  /** Undefined when the lock was lost. */
  async #settle(passage: Passage): Promise<ChunkReport | undefined> {
    const { deadLetters, nowMs } = this.#options;
    const { taken, work } = passage;
    const read = await this.#read(passage);
    if (read.kind === 'late') return read;
    if (read.kind === 'unreadable') return this.#hand(passage, read.end);
    const end = await this.#endOf(passage, read.input);
    if (taken.signal.aborted) return undefined;
    if (end === 'unwanted') return { outcome: 'unwanted' };
    // Before the result: a worker that ends in between leaves a letter too many, not one too few.
    for (let from = 0; from < end.failed.length; from += lettersAtOnce) {
      const failed = end.failed.slice(from, from + lettersAtOnce);
      await deadLetters.add(deadLettersOf(work.batch, read.input, failed, taken.attempt, nowMs()));
    }
    return this.#hand(passage, end);
  }

  /** To the ledger, unless the lock was lost. */
  async #hand({ taken, work }: Passage, { result, failed }: ChunkEnd): Promise<ChunkReport | undefined> {
    const { ledger, chunks } = this.#options;
    const { ref, signal } = taken;
    const bytes = encodeChunkResult(ref, result);
    const place = await chunks.place(ref.batchId, bytes, work.redisBytes).catch(goneWithBatch);
    if (place === 'gone') return { outcome: place };
    if (signal.aborted) return undefined;
    const rowsFailed = result.failures.length;
    const rowsSucceeded = result.rowCount - rowsFailed;
    const rowsRetryable = result.failures.filter(({ retryable }) => retryable).length;
    const outcome = await ledger.settle(ref, { result: place, rowsSucceeded, rowsFailed, rowsRetryable });
    return outcome === 'settled'
      ? { outcome, rowsSucceeded, rowsFailed, deadLetters: failed.length }
      : { outcome };
  }

  async #read({ taken, work }: Passage): Promise<ReadChunk> {
    const { chunks, ledger } = this.#options;
    const { ref } = taken;
    try {
      const bytes = await chunks.readInput(ref, work.input);
      if (bytes !== undefined) return { kind: 'input', input: decode(ref, bytes, work.rowCount) };
      // It goes with the batch's end, and with a result of another worker.
      const again = await ledger.begin(ref);
      if (again.kind === 'nothing') return { kind: 'late', outcome: lateOutcomes[again.why] };
      throw new MillraceError('bad_gateway', 'The input of the chunk is gone');
    } catch (error) {
      // Failed now, its rows could never be run again: a store that is out of reach is waited for, however long.
      if (isOutOfReach(error) || (mayPass(error) && !taken.isLastAttempt)) throw error;
      publishFault(`The input of chunk ${chunkName(ref)} cannot be read`, error);
      const [stored] = await ledger.chunks(ref.batchId, ref.index, 1);
      if (stored === undefined) throw error;
      return { kind: 'unreadable', end: failUnreadable(stored, toMillraceError(error)) };
    }
  }

  async #endOf(passage: Passage, input: ChunkInput): Promise<ChunkEnd | 'unwanted'> {
    const { models, versions, ledger } = this.#options;
    const { taken, work } = passage;
    if (taken.startCount > startsMax) return this.#giveUp(taken, input);
    const watch = new ChunkWatch(ledger, work.batch.id, taken.signal);
    let lease: Lease | undefined;
    try {
      const version = await resolveServed(versions, work.batch);
      lease = await models.acquire(version);
      const parts = await this.#runAll(passage, input, version, lease, watch);
      if (watch.halted?.kind === 'fault') throw watch.halted.error;
      return watch.halted === undefined ? endOf(input, parts) : 'unwanted';
    } catch (error) {
      if (mayPass(error) && !taken.isLastAttempt) throw error;
      const known = nameVersion(toMillraceError(error), work);
      if (known.code === 'internal_error') publishFault(`The chunk ${chunkName(taken.ref)} failed`, error);
      return failAll(input, known, known.code !== 'not_found' && known.code !== 'conflict');
    } finally {
      watch.close();
      lease?.release();
    }
  }

  #giveUp({ ref, startCount }: TakenChunk, input: ChunkInput): ChunkEnd {
    const error = new MillraceError('internal_error', `Started ${startCount} times without an end`);
    publishFault(`The chunk ${chunkName(ref)} is given up`, error);
    return failAll(input, error, true);
  }

  #runAll(
    passage: Passage,
    input: ChunkInput,
    version: ModelVersion,
    lease: Lease,
    watch: ChunkWatch,
  ): Promise<readonly Part<NamedTensors>[]> {
    const { hosts, faults, costs, nowMs } = this.#options;
    const { taken, work } = passage;
    const { tensors } = input;
    const runs = new RangeRuns(this.#options, {
      name: `chunk ${chunkName(taken.ref)}`,
      version,
      lease,
      lane: 'bulk',
      outputs: work.batch.render.outputs,
      tensors,
      deadlineMs: () => nowMs() + hostWaitMsMax,
      signal: watch.signal,
      isSuspect: isSuspect(taken.startCount, version, faults),
    });
    passage.runs = runs;
    const attempt = async (range: RowRange): Promise<Attempt<NamedTensors>> => {
      const outcome = await runs.attempt(range, (runMs) => {
        costs.observe(version.servedDigest, range.rowCount, runMs);
      });
      if (isPassing(outcome) && !taken.isLastAttempt)
        watch.halt({ kind: 'fault', error: bulkErrorOf(outcome) });
      return outcome;
    };
    const rows = rowCount(tensors);
    return isolate(this.#cut(version, tensors, rows), attempt, {
      concurrency: hosts.hostCount,
      partsMax: partsPerRow * rows,
      deathsMax,
      isCut: (outcome) => watch.halted === undefined && isCutInBulk(outcome),
    });
  }

  #cut(version: ModelVersion, tensors: NamedTensors, rows: number): Iterable<RowRange> {
    const { costs, runMsTarget, runRowsMax: rowsMax } = this.#options;
    const most = runRowsMax(version.manifest, rowsMax, encodedBytes(tensors) / rows);
    return cutRuns(rows, version.signature.batch, () =>
      Math.min(most, costs.rowsFor(version.servedDigest, runMsTarget)),
    );
  }

  #report({ taken, work, takenAtMs, runs }: Passage, report: ChunkReport): void {
    const { model, version } = work.batch;
    const event: ChunkEvent = {
      batchId: taken.ref.batchId,
      index: taken.ref.index,
      model,
      version,
      attempt: taken.attempt,
      outcome: report.outcome,
      rowsSucceeded: report.rowsSucceeded ?? 0,
      rowsFailed: report.rowsFailed ?? 0,
      deadLetters: report.deadLetters ?? 0,
      runMs: runs?.runMs ?? 0,
      totalMs: this.#options.nowMs() - takenAtMs,
    };
    channels.chunk.publish(event);
  }
}

type ReadChunk =
  | { readonly kind: 'input'; readonly input: ChunkInput }
  /** In the last attempt, or for good: all of its rows fail. */
  | { readonly kind: 'unreadable'; readonly end: ChunkEnd }
  /** Settled meanwhile, or not wanted any more. */
  | { readonly kind: 'late'; readonly outcome: ChunkEvent['outcome'] };

const lateOutcomes = {
  done: 'duplicate',
  final: 'final',
  gone: 'gone',
  paused: 'unwanted',
} as const;

interface ChunkReport {
  readonly outcome: ChunkEvent['outcome'];
  readonly rowsSucceeded?: number;
  readonly rowsFailed?: number;
  readonly deadLetters?: number;
}

/**
 * In bulk nobody waits, so that a row that hangs is found as one that kills is. What may pass only gets here in the last
 * attempt, or its chunk would have been halted: then each row has a chance of its own.
 */
function isCutInBulk(outcome: Attempt<unknown>): boolean {
  return outcome.kind === 'host_hung' || mayBeOfSomeRow(outcome) || isPassing(outcome);
}

/** No row is to blame for it. */
function isPassing(
  outcome: Attempt<unknown>,
): outcome is Extract<Attempt<unknown>, { kind: 'failed' | 'expired' }> {
  return outcome.kind === 'expired' || (outcome.kind === 'failed' && outcome.error.retryable);
}

/** Whether another attempt may end otherwise: faults of dependencies, known ones and strange ones. */
function mayPass(error: unknown): boolean {
  return !MillraceError.is(error) || error.retryable;
}

function isOutOfReach(error: unknown): boolean {
  return MillraceError.is(error) && error.code === 'service_unavailable';
}

/** Throws `internal_error` also for rows that do not add up: a result of other rows could never be settled. */
function decode(ref: ChunkRef, bytes: Uint8Array, rows: number): ChunkInput {
  const input = decodeChunkInput(ref, bytes);
  const found = rowCount(input.tensors) + input.refusals.length;
  if (input.rowCount !== rows || found !== rows)
    throw new MillraceError('internal_error', `A stored chunk has ${found} rows for ${rows}`);
  return input;
}

/** `not_found` says what exists; here it also says what does not. */
function nameVersion(error: MillraceError, { batch }: Run): MillraceError {
  if (error.code !== 'not_found') return error;
  const message = `Version ${batch.model}/${batch.version} is no longer registered`;
  return new MillraceError('not_found', message, { cause: error });
}

function goneWithBatch(error: unknown): 'gone' {
  if (MillraceError.is(error) && error.code === 'not_found') return 'gone';
  throw error;
}

function publishFault(message: string, error: unknown): void {
  channels.fault.publish({ component: 'chunk-runner', message, error } satisfies FaultEvent);
}
