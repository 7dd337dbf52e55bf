import { setTimeout as delay } from 'node:timers/promises';
import { UnrecoverableError, Worker } from 'bullmq';
import type { Job } from 'bullmq';
import type { Redis } from 'ioredis';
import { channels } from '../channels.ts';
import type { FaultEvent } from '../channels.ts';
import { MillraceError, toErrorRecord, toMillraceError } from '../errors.ts';
import type { JobConsumer, TakenJob } from './job-queue.ts';
import { decodeJob } from './job.ts';
import type { InferenceJob, Lane } from './job.ts';
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
  readonly lane: Lane;
  readonly concurrency: number;
  /** A dead worker's jobs start elsewhere after at most `lockMs` + 2 × `stalledIntervalMs`. */
  readonly lockMs: number;
  readonly stalledIntervalMs: number;
  /** Answers for jobs that cannot be run: unreadable ones, and those whose payload is gone. */
  readonly publisher: ResultPublisher;
  readonly workerId: string;
}

/**
 * BullMQ counts stalls of every job that a dying worker held, guilty or not, and at its limit fails them without
 * honouring `attempts`. So the limit is out of the way, and `startCount` tells the worker which job to suspect.
 */
const stalledCountMax = 1_000_000;
/** A run that rejects for another reason than that its result could not be published has met a bug, likely for good. */
const faultsMax = 3;
/**
 * Seconds of one blocking read. Below the silence after which a blocking socket is replaced (15 s); and short, since
 * BullMQ's watchdog over a read whose connection is dead holds a stopping process for a second longer than this.
 */
const drainDelayS = 2;
/** BullMQ's own 15 s would be the first pause after a connection error. */
const retryDelayMs = 500;

type Run = (taken: TakenJob) => Promise<void>;

export function createBullmqConsumer(options: BullmqConsumerOptions): JobConsumer {
  return new BullmqConsumer(options);
}

class BullmqConsumer implements JobConsumer {
  readonly #options: BullmqConsumerOptions;
  readonly #name: string;
  #worker: Worker | undefined;
  /** Ends when no more jobs are taken and the last is settled. */
  #served: Promise<void> = Promise.resolve();

  constructor(options: BullmqConsumerOptions) {
    this.#options = options;
    this.#name = laneName(options.pool, options.lane);
  }

  async start(run: Run): Promise<void> {
    const { connection, keys, concurrency, lockMs, stalledIntervalMs } = this.#options;
    // Three parameters: that is how BullMQ knows that it must make a signal.
    const process = async (job: Job, _token: string | undefined, signal?: AbortSignal): Promise<void> => {
      try {
        await this.#process(job, signal, run);
      } catch (error) {
        this.#publishFault(`The job ${job.id} was not settled`, error);
        // BullMQ stores the message with the failed job: a code says enough, and no data can be in it.
        const { code } = toMillraceError(error);
        const isHopeless = code !== 'service_unavailable' && job.attemptsMade + 1 >= faultsMax;
        throw isHopeless ? new UnrecoverableError(code) : new Error(code);
      }
    };
    const worker = new Worker(this.#name, process, {
      connection,
      prefix: keys.bullmq,
      autorun: false,
      concurrency,
      lockDuration: lockMs,
      stalledInterval: stalledIntervalMs,
      maxStalledCount: stalledCountMax,
      drainDelay: drainDelayS,
      runRetryDelay: retryDelayMs,
    });
    worker.on('error', (error) => this.#publishFault('The lane reported an error', error));
    worker.on('lockRenewalFailed', (jobIds) => {
      for (const jobId of jobIds) worker.cancelJob(jobId, 'lock lost');
    });
    this.#worker = worker;
    await worker.waitUntilReady();
    this.#served = worker
      .run()
      .catch((error: unknown) => this.#publishFault('The lane is no longer served', error));
  }

  async drain(graceMs: number): Promise<'drained' | 'abandoned'> {
    const worker = this.#worker;
    if (worker === undefined) return 'drained';
    // Takes no more. Locks are renewed until the last job is settled, and only then does the loop end. BullMQ's own
    // waiting (`close()`, `pause()`) is not used: it hangs while its blocking connection is reconnecting.
    await worker.pause(true);
    this.#endBlockingRead(worker);
    const grace = new AbortController();
    const outcome = await Promise.race([
      this.#served.then(() => 'drained' as const),
      delay(graceMs, 'abandoned' as const, { signal: grace.signal }).catch(() => 'abandoned' as const),
    ]);
    grace.abort();
    return outcome;
  }

  /** Does not wait for jobs in hand: another worker takes them when their locks have expired. */
  async close(): Promise<void> {
    // Also makes sure that BullMQ settles them no more: it forgets its locks as it closes.
    const closed = this.#worker?.close(true);
    this.#worker?.cancelAllJobs('abandoned');
    await closed;
  }

  /** The loop also waits for its blocking read, which would take up to `drainDelayS`. */
  #endBlockingRead(worker: Worker): void {
    worker.getBackend().blockingClient?.then(
      (blocking) => {
        if (blocking.status === 'ready') blocking.disconnect();
        else blocking.once('ready', () => blocking.disconnect());
      },
      // Never was connected: then it does not read either.
      () => undefined,
    );
  }

  async #process(job: Job, signal: AbortSignal | undefined, run: Run): Promise<void> {
    const decoded = decodeJob(job.data);
    if (decoded.kind === 'unreadable') {
      this.#publishFault('A job was dropped', decoded.error);
    } else if (decoded.kind === 'refused') {
      this.#publishFault('A job was refused', decoded.error);
      await this.#refuse(decoded);
    } else {
      const readable = decoded.payloadApart ? await this.#fetchPayload(decoded.job) : decoded.job;
      if (readable === undefined) return;
      // BullMQ makes a signal for every processor that takes one; without it the job would be out of our hands.
      if (signal === undefined) throw new Error('BullMQ gave no signal. This is a bug.');
      await run({ job: readable, startCount: job.attemptsStarted - job.attemptsMade, signal });
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

  #publishFault(message: string, error: unknown): void {
    const component = `job-consumer ${this.#name}`;
    channels.fault.publish({ component, message, error } satisfies FaultEvent);
  }
}

interface Refused {
  readonly id: string;
  readonly replyTo: string;
  readonly entryCount: number;
  readonly error: MillraceError;
}
