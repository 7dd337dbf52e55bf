import type { Redis } from 'ioredis';
import { BullmqQueues } from './bullmq-queues.ts';
import type { JobProducer } from './job-queue.ts';
import { encodeJob } from './job.ts';
import type { InferenceJob, Lane } from './job.ts';
import { laneName } from './lanes.ts';
import type { RedisKeys } from './lanes.ts';
import { redisUnavailable } from './redis-failure.ts';

export interface BullmqProducerOptions {
  /** A connection of role `producer`: its command timeout bounds `add`. Stays the caller's. */
  readonly redis: Redis;
  readonly keys: RedisKeys;
  /** Larger payloads lie under their own key: BullMQ's Lua copies a job's data several times. */
  readonly payloadInlineBytesMax: number;
  readonly payloadTtlMs: number;
  readonly eventsKeptMax: number;
  readonly failedKeptMax: number;
}

/**
 * A run whose result could not be published is repeated after a pause, until the longest deadline (60 s) has passed.
 * Without the pause all attempts would be over before a worker's cut connection is back (50 ms and more), and the job
 * would be lost.
 */
const backoffMs = 200;
const attemptsMax = 60_000 / backoffMs;

export function createBullmqProducer(options: BullmqProducerOptions): JobProducer {
  return new BullmqProducer(options);
}

class BullmqProducer implements JobProducer {
  readonly #options: BullmqProducerOptions;
  readonly #queues: BullmqQueues;

  constructor(options: BullmqProducerOptions) {
    this.#options = options;
    this.#queues = new BullmqQueues({
      ...options,
      component: 'job-producer',
      jobOptions: {
        attempts: attemptsMax,
        backoff: { type: 'fixed', delay: backoffMs },
        removeOnComplete: true,
        removeOnFail: { count: options.failedKeptMax },
      },
    });
  }

  async add(job: InferenceJob): Promise<void> {
    const { redis, keys, payloadInlineBytesMax, payloadTtlMs } = this.#options;
    const queue = this.#queues.of(laneName(job.pool, job.lane));
    const apart = job.payload.byteLength > payloadInlineBytesMax;
    const adding = queue.add('infer', encodeJob(job, apart), { jobId: job.id });
    try {
      if (!apart) {
        await adding;
        return;
      }
      // Both at once: BullMQ waits a turn before it sends, so on this connection the payload goes first, and a
      // worker that is faster still finds it. If it was refused, the worker answers that it is gone.
      const { buffer, byteOffset, byteLength } = job.payload;
      const payload = Buffer.from(buffer, byteOffset, byteLength);
      await Promise.all([redis.set(keys.payload(job.id), payload, 'PX', payloadTtlMs), adding]);
    } catch (error) {
      throw redisUnavailable(error);
    }
  }

  async takeBack({ id, pool, lane }: Pick<InferenceJob, 'id' | 'pool' | 'lane'>): Promise<boolean> {
    const { redis, keys } = this.#options;
    try {
      const queue = this.#queues.of(laneName(pool, lane));
      // A job that a worker has is locked. One that is gone counts as removed for BullMQ.
      if ((await queue.getJobState(id)) !== 'waiting') return false;
      if ((await queue.remove(id)) !== 1) return false;
      await redis.unlink(keys.payload(id));
      return true;
    } catch (error) {
      throw redisUnavailable(error);
    }
  }

  async depth(pool: string, lane: Lane): Promise<number> {
    try {
      return await this.#queues.of(laneName(pool, lane)).getWaitingCount();
    } catch (error) {
      throw redisUnavailable(error);
    }
  }

  close(): Promise<void> {
    return this.#queues.close();
  }
}
