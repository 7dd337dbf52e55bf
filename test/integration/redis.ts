import type { Redis } from 'ioredis';
import { until } from '../../src/dev/readiness.ts';
import { createRedisKeys } from '../../src/queues/lanes.ts';
import { createRedis } from '../../src/redis.ts';

/** The default pool, which all models of these tests are in. */
const lanes = ['default.online', 'default.bulk'] as const;
const settledTimeoutMs = 15_000;

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

/** Waits until no job waits or is in hand, and no tensors lie beside one. */
export async function untilQueuesAreEmpty(stack: {
  readonly redisUrl: string;
  readonly redisPrefix: string;
}): Promise<void> {
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
