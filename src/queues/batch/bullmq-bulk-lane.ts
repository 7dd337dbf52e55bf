import type { Redis } from 'ioredis';
import { toMillraceError } from '../../errors.ts';
import { BullmqLaneWorker, startCountOf } from '../bullmq-lane-worker.ts';
import { BullmqQueues } from '../bullmq-queues.ts';
import { laneName } from '../lanes.ts';
import type { RedisKeys } from '../lanes.ts';
import { redisUnavailable } from '../redis-failure.ts';
import { chunkName } from './batch-fields.ts';
import type { BulkLane } from './batch-ledger.ts';
import type { ChunkRef } from './batch.ts';
import type { BulkConsumer, RunChunk } from './bulk-consumer.ts';
import { fullJitterMs } from './full-jitter.ts';

export interface BullmqBulkLaneOptions {
  /** A connection of role `producer`; stays the caller's. */
  readonly redis: Redis;
  readonly keys: RedisKeys;
  readonly eventsKeptMax: number;
  /** How often a chunk is begun at most before what still fails of it has failed. */
  readonly attempts: number;
}

export interface BullmqBulkConsumerOptions {
  /** A connection of role `blocking`. BullMQ duplicates it once for its blocking reads. Stays the caller's. */
  readonly connection: Redis;
  readonly keys: RedisKeys;
  readonly pool: string;
  readonly concurrency: number;
  /** A dead worker's chunks start elsewhere after at most `lockMs` + 2 × `stalledIntervalMs`. */
  readonly lockMs: number;
  readonly stalledIntervalMs: number;
  /** Greatest pause after the first rejection of a chunk; it doubles with each further one. */
  readonly backoffMs: number;
  readonly backoffMsMax: number;
}

/** Beside BullMQ's own types of backoff, which know no greatest pause. */
const backoffType = 'full-jitter';
/** States asked for in one go. */
const askedCountMax = 100;

/** The API's and the sweeper's side. `close` ends it; calls then and without Redis throw `service_unavailable`. */
export function createBullmqBulkLane(options: BullmqBulkLaneOptions): BulkLane & { close(): Promise<void> } {
  return new BullmqBulkLane(options);
}

export function createBullmqBulkConsumer(options: BullmqBulkConsumerOptions): BulkConsumer {
  return new BullmqBulkConsumer(options);
}

class BullmqBulkLane implements BulkLane {
  readonly #queues: BullmqQueues;

  constructor(options: BullmqBulkLaneOptions) {
    this.#queues = new BullmqQueues({
      ...options,
      component: 'bulk-lane',
      jobOptions: {
        attempts: options.attempts,
        backoff: { type: backoffType },
        // A chunk that left the lane, however it did, must be able to come again under its name: the ledger decides.
        removeOnComplete: true,
        removeOnFail: true,
      },
    });
  }

  async add(pool: string, refs: readonly ChunkRef[]): Promise<void> {
    if (refs.length === 0) return;
    try {
      const jobs = refs.map((ref) => ({
        name: 'chunk',
        data: [ref.batchId, ref.index],
        // BullMQ refuses `:` in an id, and integers.
        opts: { jobId: chunkName(ref) },
      }));
      await this.#queues.of(laneName(pool, 'bulk')).addBulk(jobs);
    } catch (error) {
      throw redisUnavailable(error);
    }
  }

  async missing(pool: string, refs: readonly ChunkRef[]): Promise<readonly ChunkRef[]> {
    const missing: ChunkRef[] = [];
    try {
      const queue = this.#queues.of(laneName(pool, 'bulk'));
      for (let from = 0; from < refs.length; from += askedCountMax) {
        const asked = refs.slice(from, from + askedCountMax);
        const states = await Promise.all(asked.map((ref) => queue.getJobState(chunkName(ref))));
        missing.push(...asked.filter((_, place) => !isInLane(states[place] as string)));
      }
    } catch (error) {
      throw redisUnavailable(error);
    }
    return missing;
  }

  close(): Promise<void> {
    return this.#queues.close();
  }
}

class BullmqBulkConsumer implements BulkConsumer {
  readonly #lane: BullmqLaneWorker;

  constructor(options: BullmqBulkConsumerOptions) {
    const { connection, keys, pool, concurrency, lockMs, stalledIntervalMs } = options;
    this.#lane = new BullmqLaneWorker({
      name: laneName(pool, 'bulk'),
      component: 'bulk-consumer',
      connection,
      prefix: keys.bullmq,
      concurrency,
      lockMs,
      stalledIntervalMs,
      backoffStrategy: (attemptsMade) => fullJitterMs(attemptsMade, options, Math.random()),
    });
  }

  async start(run: RunChunk): Promise<void> {
    await this.#lane.start(async (job, signal) => {
      const ref = toRef(job.data);
      if (ref === undefined) {
        this.#lane.publishFault(`The job ${job.id} names no chunk and was dropped`, undefined);
        return;
      }
      const attempt = job.attemptsMade + 1;
      const isLastAttempt = attempt >= (job.opts.attempts ?? 1);
      try {
        await run({ ref, startCount: startCountOf(job), attempt, isLastAttempt, signal });
      } catch (error) {
        this.#lane.publishFault(`The chunk ${job.id} was not settled in attempt ${attempt}`, error);
        // BullMQ stores the message with the job: a code says enough, and no data can be in it.
        throw new Error(toMillraceError(error).code);
      }
      // Nothing was settled: the job is with whoever has its lock now.
      if (signal.aborted) throw new Error(`The chunk was given up: ${String(signal.reason)}`);
    });
  }

  drain(graceMs: number): Promise<'drained' | 'abandoned'> {
    return this.#lane.drain(graceMs);
  }

  close(): Promise<void> {
    return this.#lane.close();
  }
}

/** Undefined for what this file did not write. */
function toRef(data: unknown): ChunkRef | undefined {
  if (!Array.isArray(data)) return undefined;
  const [batchId, index] = data as readonly unknown[];
  if (typeof batchId !== 'string' || !Number.isSafeInteger(index)) return undefined;
  return { batchId, index: index as number };
}

/** Jobs are removed as they end: a failed or completed one is one that BullMQ is about to remove. */
function isInLane(state: string): boolean {
  return state === 'waiting' || state === 'active' || state === 'delayed' || state === 'prioritized';
}
