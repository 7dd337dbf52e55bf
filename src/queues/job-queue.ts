import type { InferenceJob, Lane } from './job.ts';

/**
 * Port: the API's side of a pool's lanes. At least once: a job may be taken by two workers after a crash, so
 * results are matched by job id and only the first counts.
 */
export interface JobProducer {
  /**
   * Adds a job. Resolves when Redis has it. Throws `service_unavailable` at once when Redis is out of reach:
   * the job may still have been added, its result is then nobody's.
   */
  add(job: InferenceJob): Promise<void>;
  /**
   * Takes a job that was added out of its lane again. False when a worker has it, or had it: it goes on. Throws
   * `service_unavailable` when Redis is out of reach.
   */
  takeBack(job: Pick<InferenceJob, 'id' | 'pool' | 'lane'>): Promise<boolean>;
  /** Jobs waiting in a lane. */
  depth(pool: string, lane: Lane): Promise<number>;
  close(): Promise<void>;
}

/** A job as a worker gets it. */
export interface TakenJob {
  readonly job: InferenceJob;
  /**
   * How often this job was started, this time included, without the starts that ended with a rejection of `run`: a
   * third one means that it may have killed two workers.
   */
  readonly startCount: number;
  /** Fires when the lock is lost or the job was abandoned: another worker has it or will; nothing may be published. */
  readonly signal: AbortSignal;
}

/**
 * Port: the worker's side. `run` is called for each job taken, at most `concurrency` at a time; when it
 * resolves, the job is settled and removed. When it rejects, the job is retried by the lane's policy.
 */
export interface JobConsumer {
  start(run: (taken: TakenJob) => Promise<void>): Promise<void>;
  /** Stops taking; resolves when the jobs in hand are settled or `graceMs` has passed. */
  drain(graceMs: number): Promise<'drained' | 'abandoned'>;
  /** What is still in hand is given up: its signal fires, and another worker takes it when its lock has expired. */
  close(): Promise<void>;
}
