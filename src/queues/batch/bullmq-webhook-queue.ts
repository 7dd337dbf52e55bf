import { DelayedError } from 'bullmq';
import type { Job } from 'bullmq';
import type { Redis } from 'ioredis';
import { ulid } from 'ulid';
import { BullmqLaneWorker } from '../bullmq-lane-worker.ts';
import { BullmqQueues } from '../bullmq-queues.ts';
import type { RedisKeys } from '../lanes.ts';
import { redisUnavailable } from '../redis-failure.ts';
import type { TakenWebhook, WebhookJob, WebhookQueue, WebhookVerdict } from './webhook-queue.ts';

export interface BullmqWebhookQueueOptions {
  /** A connection of role `producer`; stays the caller's. */
  readonly redis: Redis;
  /** A connection of role `blocking`; stays the caller's. */
  readonly connection: Redis;
  readonly keys: RedisKeys;
  /** Jobs in hand at once. */
  readonly concurrency: number;
  readonly attempts: number;
  readonly eventsKeptMax: number;
}

/** Not a pool's lane: those have a dot in their name. */
const queueName = 'webhooks';
const backoffType = 'as-told';
/** A process that was killed has its webhooks sent by another after at most 10 s. */
const lockMs = 5000;
const stalledIntervalMs = 2500;
/**
 * A job that has ended is kept for so long under its id: whoever adds it again, not knowing that it was added, adds
 * nothing. Longer than a process that died in between needs to come back.
 */
const endedKept = { age: 3600, count: 10_000 } as const;
/** After a failure of ours: Redis or the key store is out of reach. */
const putOffMs = 5000;

class Again extends Error {
  readonly afterMs: number;

  constructor(afterMs: number) {
    super('not delivered');
    this.afterMs = afterMs;
  }
}

export class BullmqWebhookQueue implements WebhookQueue {
  readonly #worker: BullmqLaneWorker;
  readonly #queues: BullmqQueues;

  constructor(options: BullmqWebhookQueueOptions) {
    this.#queues = new BullmqQueues({
      ...options,
      component: 'webhooks',
      jobOptions: {
        attempts: options.attempts,
        backoff: { type: backoffType },
        removeOnComplete: endedKept,
        removeOnFail: endedKept,
      },
    });
    this.#worker = new BullmqLaneWorker({
      name: queueName,
      component: 'webhooks',
      connection: options.connection,
      prefix: options.keys.bullmq,
      concurrency: options.concurrency,
      lockMs,
      stalledIntervalMs,
      backoffStrategy: (_attemptsMade, _type, error) => (error instanceof Again ? error.afterMs : putOffMs),
    });
  }

  async add(job: WebhookJob): Promise<void> {
    const jobId = job.redelivery ? `${job.batchId}.${ulid()}` : job.batchId;
    try {
      await this.#queues.of(queueName).add('batch-ended', job, { jobId });
    } catch (error) {
      throw redisUnavailable(error);
    }
  }

  async start(deliver: (taken: TakenWebhook) => Promise<WebhookVerdict>): Promise<void> {
    await this.#worker.start(async (job, signal) => {
      const verdict = await this.#try(job, signal, deliver);
      if (verdict.kind === 'again') throw new Again(verdict.afterMs);
      if (verdict.kind === 'done') return;
      // The lock goes with the move; DelayedError tells BullMQ that this was all.
      await job.moveToDelayed(Date.now() + verdict.afterMs, job.token);
      throw new DelayedError();
    });
  }

  async close(graceMs: number): Promise<void> {
    await this.#worker.drain(graceMs);
    await this.#worker.close();
    await this.#queues.close();
  }

  async #try(
    job: Job,
    signal: AbortSignal,
    deliver: (taken: TakenWebhook) => Promise<WebhookVerdict>,
  ): Promise<WebhookVerdict> {
    try {
      const verdict = await deliver({ job: job.data as WebhookJob, attempt: job.attemptsMade + 1, signal });
      // Nothing is settled: the job is with whoever has its lock now.
      if (!signal.aborted) return verdict;
    } catch (error) {
      this.#worker.publishFault(`The webhook ${job.id} was put off`, error);
      if (!signal.aborted) return { kind: 'later', afterMs: putOffMs };
    }
    throw new Error(`The webhook was given up: ${String(signal.reason)}`);
  }
}
