import type { Redis } from 'ioredis';
import type { RedisKeys } from './lanes.ts';
import { redisUnavailable } from './redis-failure.ts';
import type { ResultPublisher } from './result-channel.ts';
import { encodeResult } from './result.ts';

export interface RedisResultPublisherOptions {
  /** A connection of role `command`; stays the caller's. */
  readonly redis: Redis;
  readonly keys: RedisKeys;
  /**
   * Most results kept for one API process. It must hold that process's jobs in flight (`jobs_in_flight_max` a
   * version) and the `acknowledgeCountMax` results that its receiver may not have removed yet.
   */
  readonly keptMax: number;
  readonly ttlMs: number;
  /** Larger tensors lie under a key of their own: a large pub/sub message would hold up every one behind it. */
  readonly inlineBytesMax: number;
}

/**
 * Keeps and publishes in one step, so that whoever misses the message finds the result.
 * KEYS: 1 result hash, 2 key of the tensors. ARGV: 1 channel, 2 job id, 3 frame, 4 kept max, 5 TTL in ms,
 * 6 tensors that lie apart, or ''. Returns nothing.
 *
 * A full hash means an API process that no longer acknowledges: its results are still published, no longer kept.
 * PUBLISH comes last: nobody can hear of tensors that are not there yet.
 */
const publishScript = `
if ARGV[6] ~= '' then redis.call('SET', KEYS[2], ARGV[6], 'PX', ARGV[5]) end
if redis.call('HLEN', KEYS[1]) < tonumber(ARGV[4]) then
  redis.call('HSET', KEYS[1], ARGV[2], ARGV[3])
  redis.call('PEXPIRE', KEYS[1], ARGV[5])
end
redis.call('PUBLISH', ARGV[1], ARGV[3])`;

export function createRedisResultPublisher(options: RedisResultPublisherOptions): ResultPublisher {
  const { redis, keys, keptMax, ttlMs, inlineBytesMax } = options;
  return {
    publish: async (replyTo, result) => {
      const { frame, tensorsApart } = encodeResult(result, inlineBytesMax);
      const apart = tensorsApart === null ? '' : asBuffer(tensorsApart);
      try {
        // EVAL, not EVALSHA: 300 bytes more a job, and no second round trip after a restart or SCRIPT FLUSH.
        // Results of one turn leave in one write, by the connection's auto-pipelining.
        await redis.eval(
          publishScript,
          2,
          keys.resultHash(replyTo),
          keys.resultTensors(replyTo, result.id),
          keys.resultChannel(replyTo),
          result.id,
          frame,
          keptMax,
          ttlMs,
          apart,
        );
      } catch (error) {
        throw redisUnavailable(error);
      }
    },
  };
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
