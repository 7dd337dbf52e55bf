import { UnrecoverableError } from 'bullmq';
import type { Job } from 'bullmq';
import type { Redis } from 'ioredis';
import { MillraceError, toErrorRecord, toMillraceError } from '../errors.ts';
import { BullmqLaneWorker, startCountOf } from './bullmq-lane-worker.ts';
import type { JobConsumer, TakenJob } from './job-queue.ts';
import { decodeJob } from './job.ts';
import type { InferenceJob } from './job.ts';
import { laneName } from './lanes.ts';
import type { RedisKeys } from './lanes.ts';
import type { ResultPublisher } from './result-channel.ts';
import { resultSchemaVersion } from './result.ts';

export interface BullmqConsumerOptions {
  /** A connection of role `blocking`. BullMQ duplicates it once for its blocking reads. Stays the caller's. */
  readonly connection: Redis;
  /** A connection of role `command`, for payloads that lie apart. Stays the caller's. */
  readonly redis: Redis;
  readonly keys: RedisKeys;
  readonly pool: string;
  readonly concurrency: number;
  /** A dead worker's jobs start elsewhere after at most `lockMs` + 2 × `stalledIntervalMs`. */
  readonly lockMs: number;
  readonly stalledIntervalMs: number;
  /** Answers for jobs that cannot be run: unreadable ones, and those whose payload is gone. */
  readonly publisher: ResultPublisher;
  readonly workerId: string;
}

/** A run that rejects for another reason than that its result could not be published has met a bug, likely for good. */
const faultsMax = 3;

type Run = (taken: TakenJob) => Promise<void>;

/** Takes the online lane of a pool. */
export function createBullmqConsumer(options: BullmqConsumerOptions): JobConsumer {
  return new BullmqConsumer(options);
}

class BullmqConsumer implements JobConsumer {
  readonly #options: BullmqConsumerOptions;
  readonly #lane: BullmqLaneWorker;

  constructor(options: BullmqConsumerOptions) {
    this.#options = options;
    const { connection, keys, pool, concurrency, lockMs, stalledIntervalMs } = options;
    this.#lane = new BullmqLaneWorker({
      name: laneName(pool, 'online'),
      component: 'job-consumer',
      connection,
      prefix: keys.bullmq,
      concurrency,
      lockMs,
      stalledIntervalMs,
    });
  }

  async start(run: Run): Promise<void> {
    await this.#lane.start(async (job, signal) => {
      try {
        await this.#process(job, signal, run);
      } catch (error) {
        this.#lane.publishFault(`The job ${job.id} was not settled`, error);
        // BullMQ stores the message with the failed job: a code says enough, and no data can be in it.
        const { code } = toMillraceError(error);
        const isHopeless = code !== 'service_unavailable' && job.attemptsMade + 1 >= faultsMax;
        throw isHopeless ? new UnrecoverableError(code) : new Error(code);
      }
    });
  }

  drain(graceMs: number): Promise<'drained' | 'abandoned'> {
    return this.#lane.drain(graceMs);
  }

  close(): Promise<void> {
    return this.#lane.close();
  }

  async #process(job: Job, signal: AbortSignal, run: Run): Promise<void> {
    const decoded = decodeJob(job.data);
    if (decoded.kind === 'unreadable') {
      this.#lane.publishFault('A job was dropped', decoded.error);
    } else if (decoded.kind === 'refused') {
      this.#lane.publishFault('A job was refused', decoded.error);
      await this.#refuse(decoded);
    } else {
      const readable = decoded.payloadApart ? await this.#fetchPayload(decoded.job) : decoded.job;
      if (readable === undefined) return;
      await run({ job: readable, startCount: startCountOf(job), signal });
      // Nothing was published, so nothing is settled: what belongs to the job stays for whoever has it now.
      if (signal.aborted) throw new Error(`The job was given up: ${String(signal.reason)}`);
      if (decoded.payloadApart) this.#dropPayload(readable.id);
    }
  }

  async #fetchPayload(job: InferenceJob): Promise<InferenceJob | undefined> {
    const payload = await this.#options.redis.getBuffer(this.#options.keys.payload(job.id));
    if (payload !== null) return { ...job, payload };
    // Its time to live is longer than any deadline, so nobody may wait any more; whoever does can try again.
    const error = new MillraceError('service_unavailable', 'The tensors of the job are gone');
    await this.#refuse({ id: job.id, replyTo: job.replyTo, entryCount: job.entries.length, error });
    return undefined;
  }

  /** Without this the key would lie there for its whole time to live. */
  #dropPayload(jobId: string): void {
    const { redis, keys } = this.#options;
    redis.unlink(keys.payload(jobId)).catch(() => undefined);
  }

  async #refuse(refused: Refused): Promise<void> {
    const error = toErrorRecord(refused.error);
    await this.#options.publisher.publish(refused.replyTo, {
      schemaVersion: resultSchemaVersion,
      id: refused.id,
      workerId: this.#options.workerId,
      failures: Array.from({ length: refused.entryCount }, (_, entryIndex) => ({
        entryIndex,
        reason: 'failed',
        error,
      })),
      tensors: new Map(),
      timings: { queueMs: 0, waitMs: 0, runMs: 0 },
      batchRows: 0,
    });
  }
}

interface Refused {
  readonly id: string;
  readonly replyTo: string;
  readonly entryCount: number;
  readonly error: MillraceError;
}
