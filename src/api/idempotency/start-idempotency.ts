import type { Redis } from 'ioredis';
import type { Lifecycle } from '../../lifecycle.ts';
import type { RedisKeys } from '../../queues/lanes.ts';
import { Doorbells } from './doorbells.ts';
import { Idempotency } from './idempotency.ts';
import { RedisClaims } from './redis-claims.ts';

export interface IdempotencyConnections {
  /** Of roles `command` and `subscriber`; they stay the caller's. */
  readonly redis: Redis;
  readonly subscriber: Redis;
  readonly keys: RedisKeys;
}

export interface IdempotencySettings {
  readonly retention_ms: number;
  readonly lease_ms: number;
  readonly answer_bytes_max: number;
}

/** Does not wait for Redis. */
export async function startIdempotency(
  lifecycle: Pick<Lifecycle, 'start'>,
  { redis, subscriber, keys }: IdempotencyConnections,
  { retention_ms: retentionMs, lease_ms: leaseMs, answer_bytes_max: answerBytesMax }: IdempotencySettings,
): Promise<Idempotency> {
  const doorbells = await lifecycle.start(
    'ends of keyed requests',
    () => {
      const each = new Doorbells({ subscriber, channel: keys.idempotencyChannel });
      each.start();
      return each;
    },
    (each) => each.close(),
  );
  const claims = new RedisClaims({ redis, keys, leaseMs, retentionMs });
  return lifecycle.start(
    'idempotency',
    () => new Idempotency({ claims, doorbells, leaseMs, answerBytesMax }),
    (each) => each.close(),
  );
}
