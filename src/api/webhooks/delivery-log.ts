import type { Redis } from 'ioredis';
import type { RedisKeys } from '../../queues/lanes.ts';
import { redisUnavailable } from '../../queues/redis-failure.ts';
import type { DeliveryError } from './webhook-sender.ts';

export interface Delivery {
  /** From 1; a redelivery begins anew. */
  readonly attempt: number;
  readonly redelivery: boolean;
  readonly atMs: number;
  readonly durationMs: number;
  readonly status: number | null;
  readonly error: DeliveryError | null;
  /** Null when it was delivered or given up. */
  readonly nextAttemptAtMs: number | null;
}

/** Of each batch, the newest: the attempts of the default schedule six times over. */
export const deliveriesKeptMax = 50;

/** Every attempt to call the webhook of a batch, for as long as there is the batch. */
export class DeliveryLog {
  readonly #redis: Redis;
  readonly #keys: Pick<RedisKeys, 'deliveries'>;

  /** A connection of role `command`; stays the caller's. */
  constructor(redis: Redis, keys: Pick<RedisKeys, 'deliveries'>) {
    this.#redis = redis;
    this.#keys = keys;
  }

  /** `expiresAtMs` by the shared clock. Throws `service_unavailable`. */
  async append(batchId: string, delivery: Delivery, expiresAtMs: number): Promise<void> {
    const key = this.#keys.deliveries(batchId);
    try {
      await this.#redis
        .multi()
        .rpush(key, JSON.stringify(delivery))
        .ltrim(key, -deliveriesKeptMax, '-1')
        .pexpireat(key, Math.ceil(expiresAtMs))
        .exec();
    } catch (error) {
      throw redisUnavailable(error);
    }
  }

  /** The oldest first. Throws `service_unavailable`. */
  async list(batchId: string): Promise<readonly Delivery[]> {
    try {
      const texts = await this.#redis.lrange(this.#keys.deliveries(batchId), 0, '-1');
      return texts.map((text) => JSON.parse(text) as Delivery);
    } catch (error) {
      throw redisUnavailable(error);
    }
  }
}
