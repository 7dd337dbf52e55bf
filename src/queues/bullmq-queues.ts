import { Queue } from 'bullmq';
import type { DefaultJobOptions } from 'bullmq';
import type { Redis } from 'ioredis';
import { channels } from '../channels.ts';
import type { FaultEvent } from '../channels.ts';
import { MillraceError } from '../errors.ts';
import { lanesOpenMax } from './lanes.ts';
import type { RedisKeys } from './lanes.ts';
import { redisUnavailable } from './redis-failure.ts';

export interface BullmqQueuesOptions {
  /** A connection of role `producer`: its command timeout bounds every call. Stays the caller's. */
  readonly redis: Redis;
  readonly keys: RedisKeys;
  /** In faults. */
  readonly component: string;
  readonly eventsKeptMax: number;
  readonly jobOptions: DefaultJobOptions;
}

/** BullMQ's queues of one kind on one connection, each opened when it is first needed. */
export class BullmqQueues {
  readonly #options: BullmqQueuesOptions;
  readonly #queues = new Map<string, Queue>();
  #isClosed = false;

  constructor(options: BullmqQueuesOptions) {
    this.#options = options;
  }

  /** Throws `service_unavailable` without Redis, once closed, and beyond `lanesOpenMax` queues. */
  of(name: string): Queue {
    const { redis } = this.#options;
    // Checked here because BullMQ's own calls would wait for a connection, however long that takes.
    if (this.#isClosed || redis.status !== 'ready')
      throw redisUnavailable(new Error(`Redis is ${redis.status}`));
    const open = this.#queues.get(name);
    if (open !== undefined) return open;
    if (this.#queues.size >= lanesOpenMax)
      throw new MillraceError('service_unavailable', `More than ${lanesOpenMax} lanes are in use`);
    const queue = openQueue(name, this.#options);
    this.#queues.set(name, queue);
    return queue;
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    const queues = [...this.#queues.values()];
    this.#queues.clear();
    await Promise.allSettled(queues.map((queue) => queue.close()));
  }
}

function openQueue(
  name: string,
  { redis, keys, component, eventsKeptMax, jobOptions }: BullmqQueuesOptions,
): Queue {
  const queue = new Queue(name, {
    connection: redis,
    prefix: keys.bullmq,
    // Else a Queue that is made while Redis goes away would wait, or stay broken, for ever.
    skipWaitingForReady: true,
    skipVersionCheck: true,
    streams: { events: { maxLen: eventsKeptMax } },
    // Neither log lines nor stacks of a run belong in Redis.
    defaultJobOptions: { ...jobOptions, keepLogs: 0, stackTraceLimit: 0 },
  });
  queue.on('error', (error) => {
    const message = `The queue ${name} reported an error`;
    channels.fault.publish({ component, message, error } satisfies FaultEvent);
  });
  return queue;
}
