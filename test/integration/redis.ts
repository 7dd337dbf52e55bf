import type { Redis } from 'ioredis';
import { until } from '../../src/dev/readiness.ts';
import { createRedisKeys } from '../../src/queues/lanes.ts';
import { createRedis } from '../../src/redis.ts';
import type { Stack } from '../support/stack.ts';

/** The default pool, which all models of these tests are in. */
const lanes = ['default.online', 'default.bulk'] as const;
const settledTimeoutMs = 15_000;

/** Where the keys of a stack are. */
export type StackRedis = Pick<Stack, 'redisUrl' | 'redisPrefix'>;

/** Runs `use` with a connection of the test's own to the Redis of a stack. */
export async function withRedis<Result>(
  { redisUrl }: { readonly redisUrl: string },
  use: (redis: Redis) => Promise<Result>,
): Promise<Result> {
  const redis = createRedis('subscriber', {
    url: redisUrl,
    connectTimeoutMs: 1000,
    commandTimeoutMs: 5000,
    retryDelayMsMax: 100,
    onError: () => undefined,
  });
  try {
    return await use(redis);
  } finally {
    redis.disconnect();
  }
}

/** Keys of all entries in the response cache. */
export async function cacheKeys(stack: StackRedis): Promise<string[]> {
  return withRedis(stack, (redis) => redis.keys(createRedisKeys(stack.redisPrefix).cacheEntry('*')));
}

/** Waits until Redis has expired the key. */
export async function untilExpired(stack: StackRedis, key: string): Promise<void> {
  await withRedis(stack, (redis) =>
    until(async () => (await redis.exists(key)) === 0, AbortSignal.timeout(settledTimeoutMs)),
  );
}

/** Waits until no job waits or is in hand, and no tensors lie beside one. */
export async function untilQueuesAreEmpty(stack: StackRedis): Promise<void> {
  const keys = createRedisKeys(stack.redisPrefix);
  await withRedis(stack, (redis) =>
    until(async () => {
      const lengths = await Promise.all(
        lanes.flatMap((lane) => [
          redis.llen(`${keys.bullmq}:${lane}:wait`),
          redis.llen(`${keys.bullmq}:${lane}:active`),
          redis.zcard(`${keys.bullmq}:${lane}:prioritized`),
          redis.zcard(`${keys.bullmq}:${lane}:delayed`),
        ]),
      );
      const payloads = await redis.keys(keys.payload('*'));
      return payloads.length === 0 && lengths.every((length) => length === 0);
    }, AbortSignal.timeout(settledTimeoutMs)),
  );
}
