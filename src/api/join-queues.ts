import type { Redis } from 'ioredis';
import { ulid } from 'ulid';
import { createBullmqProducer } from '../queues/bullmq-producer.ts';
import type { BullmqProducerOptions } from '../queues/bullmq-producer.ts';
import { unknownJobs } from '../queues/bullmq-unknown-jobs.ts';
import { createCoalescer } from '../queues/coalescer.ts';
import type { CoalescerLimits } from '../queues/coalescer.ts';
import type { RedisKeys } from '../queues/lanes.ts';
import { createRedisPresenceObserver } from '../queues/redis-presence.ts';
import { createRedisResultReceiver } from '../queues/redis-result-receiver.ts';
import { withResubmission } from '../queues/resubmission.ts';
import type { SharedClock } from '../queues/shared-clock.ts';
import { poolOf } from '../registry/manifest.ts';
import type { StartedEngine } from './engine-link.ts';

export interface QueueConnections {
  /** Of roles `command`, `producer` and `subscriber`; they stay the caller's. */
  readonly redis: Redis;
  readonly producing: Redis;
  readonly subscriber: Redis;
  readonly clock: SharedClock;
  readonly keys: RedisKeys;
}

export interface QueueOptions {
  readonly presenceTtlMs: number;
  readonly jobs: Omit<BullmqProducerOptions, 'redis' | 'keys'>;
  readonly limits: CoalescerLimits;
}

/**
 * Puts together everything between the API and its workers. Rejects, with nothing left open, while Redis is out of
 * reach.
 */
export async function joinQueues(
  { redis, producing, subscriber, clock, keys }: QueueConnections,
  { presenceTtlMs, jobs, limits }: QueueOptions,
): Promise<StartedEngine> {
  await clock.synchronize();
  const presence = await createRedisPresenceObserver({ subscriber, redis, keys, ttlMs: presenceTtlMs });
  const { producer, receiver } = withResubmission({
    receiver: await createRedisResultReceiver({ subscriber, redis, keys, replyTo: ulid() }),
    producer: createBullmqProducer({ ...jobs, redis: producing, keys }),
    unknown: (missing) => unknownJobs(missing, { redis, keys }),
  });
  const coalescer = createCoalescer({ producer, receiver, clock, limits, poolOf });
  return {
    coalescer,
    presence,
    clock,
    connected: () => receiver.connected,
    close: async () => {
      coalescer.close();
      await Promise.all([presence.close(), receiver.close(), producer.close()]);
    },
  };
}

/** The settings that the queues go by. */
export interface QueueSettings {
  readonly coalescer: {
    readonly jobs_in_flight_max: number;
    readonly batch_rows_max: number;
    readonly batch_bytes_max: number;
    readonly pending_rows_max: number;
    readonly queue_delay_ms_max: number;
  };
  readonly predict: { readonly timeout_ms: number };
  readonly queue: {
    readonly payload_inline_bytes_max: number;
    readonly payload_ttl_ms: number;
    readonly events_kept_max: number;
    readonly failed_kept_max: number;
  };
  readonly worker: { readonly presence_ttl_ms: number };
}

export function queueOptions({ coalescer, predict, queue, worker }: QueueSettings): QueueOptions {
  return {
    presenceTtlMs: worker.presence_ttl_ms,
    jobs: {
      payloadInlineBytesMax: queue.payload_inline_bytes_max,
      payloadTtlMs: queue.payload_ttl_ms,
      eventsKeptMax: queue.events_kept_max,
      failedKeptMax: queue.failed_kept_max,
    },
    limits: {
      jobsInFlightMax: coalescer.jobs_in_flight_max,
      batchRowsMax: coalescer.batch_rows_max,
      batchBytesMax: coalescer.batch_bytes_max,
      pendingRowsMax: coalescer.pending_rows_max,
      queueDelayMsMax: coalescer.queue_delay_ms_max,
      timeoutMs: predict.timeout_ms,
    },
  };
}
