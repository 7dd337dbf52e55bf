import { setTimeout as delay } from 'node:timers/promises';
import { Worker } from 'bullmq';
import type { BackoffStrategy, Job } from 'bullmq';
import type { Redis } from 'ioredis';
import { channels } from '../channels.ts';
import type { FaultEvent } from '../channels.ts';

export interface BullmqLaneWorkerOptions {
  /** Of the lane, as BullMQ's queue is called. */
  readonly name: string;
  /** In faults: `<component> <name>`. */
  readonly component: string;
  /** A connection of role `blocking`. BullMQ duplicates it once for its blocking reads. Stays the caller's. */
  readonly connection: Redis;
  /** BullMQ's own. */
  readonly prefix: string;
  readonly concurrency: number;
  /** A dead worker's jobs start elsewhere after at most `lockMs` + 2 × `stalledIntervalMs`. */
  readonly lockMs: number;
  readonly stalledIntervalMs: number;
  /** For jobs whose backoff is of a type that BullMQ does not know. */
  readonly backoffStrategy?: BackoffStrategy;
}

/** The signal fires when the lock is lost or the job was abandoned. What it rejects with, BullMQ keeps with the job. */
export type ProcessJob = (job: Job, signal: AbortSignal) => Promise<void>;

/**
 * BullMQ counts stalls of every job that a dying worker held, guilty or not, and at its limit fails them without
 * honouring `attempts`. So the limit is out of the way, and `startCountOf` tells which job to suspect.
 */
const stalledCountMax = 1_000_000;
/**
 * Seconds of one blocking read. Below the silence after which a blocking socket is replaced (15 s); and short, since
 * BullMQ's watchdog over a read whose connection is dead holds a stopping process for a second longer than this.
 */
const drainDelayS = 2;
/** BullMQ's own 15 s would be the first pause after a connection error. */
const retryDelayMs = 500;

/** Takes the jobs of one lane: BullMQ's worker, with the locks, the stalls and the stopping that every lane has. */
export class BullmqLaneWorker {
  readonly #options: BullmqLaneWorkerOptions;
  #worker: Worker | undefined;
  /** Ends when no more jobs are taken and the last is settled. */
  #served: Promise<void> = Promise.resolve();

  constructor(options: BullmqLaneWorkerOptions) {
    this.#options = options;
  }

  async start(processJob: ProcessJob): Promise<void> {
    const { name, connection, prefix, concurrency, lockMs, stalledIntervalMs, backoffStrategy } =
      this.#options;
    // Three parameters: that is how BullMQ knows that it must make a signal.
    const process = async (job: Job, _token: string | undefined, signal?: AbortSignal): Promise<void> => {
      // BullMQ makes one for every processor that takes it; without it the job would be out of our hands.
      if (signal === undefined) throw new Error('BullMQ gave no signal. This is a bug.');
      await processJob(job, signal);
    };
    const worker = new Worker(name, process, {
      connection,
      prefix,
      autorun: false,
      concurrency,
      lockDuration: lockMs,
      stalledInterval: stalledIntervalMs,
      maxStalledCount: stalledCountMax,
      drainDelay: drainDelayS,
      runRetryDelay: retryDelayMs,
      ...(backoffStrategy === undefined ? {} : { settings: { backoffStrategy } }),
    });
    worker.on('error', (error) => this.publishFault('The lane reported an error', error));
    worker.on('lockRenewalFailed', (jobIds) => {
      for (const jobId of jobIds) worker.cancelJob(jobId, 'lock lost');
    });
    this.#worker = worker;
    await worker.waitUntilReady();
    this.#served = worker
      .run()
      .catch((error: unknown) => this.publishFault('The lane is no longer served', error));
  }

  async drain(graceMs: number): Promise<'drained' | 'abandoned'> {
    const worker = this.#worker;
    if (worker === undefined) return 'drained';
    // Takes no more. Locks are renewed until the last job is settled, and only then does the loop end. BullMQ's own
    // waiting (`close()`, `pause()`) is not used: it hangs while its blocking connection is reconnecting.
    await worker.pause(true);
    endBlockingRead(worker);
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

  publishFault(message: string, error: unknown): void {
    const component = `${this.#options.component} ${this.#options.name}`;
    channels.fault.publish({ component, message, error } satisfies FaultEvent);
  }
}

/**
 * How often the job was started, this time included, without the starts that ended with a rejection: a third one means
 * that it may have killed two workers.
 */
export function startCountOf({ attemptsStarted, attemptsMade }: Job): number {
  return attemptsStarted - attemptsMade;
}

/** The loop also waits for its blocking read, which would take up to `drainDelayS`. */
function endBlockingRead(worker: Worker): void {
  worker.getBackend().blockingClient?.then(
    (blocking) => {
      if (blocking.status === 'ready') blocking.disconnect();
      else blocking.once('ready', () => blocking.disconnect());
    },
    // Never was connected: then it does not read either.
    () => undefined,
  );
}
