import type { InferenceResult, ResultOutcome } from './result.ts';

/** Port, API side: one subscription a process, demultiplexed by job id. */
export interface ResultReceiver {
  /** Where workers must send: goes into `InferenceJob.replyTo`. */
  readonly replyTo: string;
  /**
   * Registers a waiter. MUST be called before the job is added. `settle` is called at most once, also when
   * the subscription was lost and the result had to be read back.
   */
  expect(jobId: string, settle: (outcome: ResultOutcome) => void): void;
  /** Drops a waiter. `late` is called if its result comes after all: at most once, and only while it is remembered. */
  forget(jobId: string, late: () => void): void;
  /** True while the subscription stands. */
  readonly connected: boolean;
  close(): Promise<void>;
}

/** Port, worker side. */
export interface ResultPublisher {
  /**
   * Publishes and keeps the result readable for a short time, in one atomic step. Throws
   * `service_unavailable` when Redis did not take it: the job must then not be completed.
   */
  publish(replyTo: string, result: InferenceResult): Promise<void>;
}
