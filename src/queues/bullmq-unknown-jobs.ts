import type { Redis } from 'ioredis';
import type { InferenceJob } from './job.ts';
import { laneName } from './lanes.ts';
import type { RedisKeys } from './lanes.ts';
import { redisUnavailable } from './redis-failure.ts';

export interface UnknownJobsOptions {
  /** A connection of role `command`; stays the caller's. */
  readonly redis: Redis;
  readonly keys: RedisKeys;
}

/**
 * Asks which of the jobs are in no state of their lane (waiting, in hand, failed) and have no result that is kept.
 * Throws `service_unavailable` when Redis is out of reach.
 */
export async function unknownJobs(
  jobs: readonly InferenceJob[],
  { redis, keys }: UnknownJobsOptions,
): Promise<readonly InferenceJob[]> {
  try {
    const known = await Promise.all(
      jobs.map(async ({ id, pool, lane, replyTo }) => {
        // In this order: the result is kept before the job goes, so that one of them is there throughout.
        const found = await Promise.all([
          redis.exists(`${keys.bullmq}:${laneName(pool, lane)}:${id}`),
          redis.hexists(keys.resultHash(replyTo), id),
        ]);
        return found.some((count) => count > 0);
      }),
    );
    return jobs.filter((_, index) => known[index] !== true);
  } catch (error) {
    throw redisUnavailable(error);
  }
}
