import type { Redis } from 'ioredis';
import { createBullmqConsumer } from '../../src/queues/bullmq-consumer.ts';
import { createBullmqProducer } from '../../src/queues/bullmq-producer.ts';
import type { JobConsumer, JobProducer, TakenJob } from '../../src/queues/job-queue.ts';
import { createRedisKeys } from '../../src/queues/lanes.ts';
import type { RedisKeys } from '../../src/queues/lanes.ts';
import type { ResultPublisher } from '../../src/queues/result-channel.ts';
import type { InferenceResult } from '../../src/queues/result.ts';
import { randomPrefix } from '../support/services.ts';
import { connect } from './builders.ts';
import { createInbox } from './inbox.ts';
import type { Inbox } from './inbox.ts';

/** A producer and any number of consumers of the lane default.online, under keys of their own. */
export interface QueueRig {
  readonly keys: RedisKeys;
  readonly redis: Redis;
  /** The producer's own. */
  readonly producing: Redis;
  readonly producer: JobProducer;
  /** What consumers answered by themselves, unless a publisher was given. */
  readonly refusals: Inbox<InferenceResult>;
  consume(run: (taken: TakenJob) => Promise<void>, publisher?: ResultPublisher): Promise<JobConsumer>;
  close(): Promise<void>;
}

export async function makeQueueRig(url: string, keys = createRedisKeys(randomPrefix())): Promise<QueueRig> {
  const redis = await connect('command', url);
  const producing = await connect('producer', url);
  const refusals = createInbox<InferenceResult>();
  const toInbox: ResultPublisher = {
    publish: (_replyTo, result) => Promise.resolve(refusals.push(result)),
  };
  const consumers: JobConsumer[] = [];
  const producer = createBullmqProducer({
    redis: producing,
    keys,
    payloadInlineBytesMax: 1024,
    payloadTtlMs: 60_000,
    eventsKeptMax: 10,
    failedKeptMax: 10,
  });
  return {
    keys,
    redis,
    producing,
    producer,
    refusals,
    consume: async (run, publisher = toInbox) => {
      const consumer = createBullmqConsumer({
        connection: await connect('blocking', url),
        redis,
        keys,
        pool: 'default',
        concurrency: 4,
        lockMs: 600,
        stalledIntervalMs: 300,
        publisher,
        workerId: `worker-${consumers.length}`,
      });
      consumers.push(consumer);
      await consumer.start(run);
      return consumer;
    },
    close: async () => {
      await Promise.all(consumers.map((consumer) => consumer.close()));
      await producer.close();
    },
  };
}
