import { channels } from '../channels.ts';
import type { DropEvent, JobEvent } from '../channels.ts';
import type { ModelVersion } from '../registry/model-version.ts';
import type { NamedTensors } from '../tensors/tensor.ts';
import type { Batch, BatchEntry, Cancellation } from './batch-former.ts';
import type { Expirable } from './deadline-wheel.ts';
import type { InferenceJob } from './job.ts';
import type { InferenceResult } from './result.ts';
import type { VersionLoad } from './version-load.ts';

export interface CoalescerRequest {
  readonly requestId: string;
  readonly version: ModelVersion;
  /** Packed; axis 0 of every tensor is rows, usually one. */
  readonly tensors: NamedTensors;
  /** Packed bytes of the tensors' data. */
  readonly bytes: number;
  /** Equal only for requests that may share a run: tensors that `joinRows` can join, and the same outputs. */
  readonly compatibilityKey: string;
  /** As in `InferenceJob.outputs`. */
  readonly outputs: readonly string[] | null;
  /** By the shared clock. */
  readonly deadlineMs: number;
  /**
   * Once aborted the request does not leave any more, if it has not yet, and a job whose callers have all left is taken
   * back from its lane, if no worker has it yet; its promise rejects with the reason.
   */
  readonly signal?: Cancellation;
}

/** The rows `firstRow` to `firstRow + rowCount` of every result tensor are this request's; nothing is copied. */
export interface CoalescedAnswer {
  readonly result: InferenceResult;
  readonly firstRow: number;
  readonly rowCount: number;
  /** From `submit` to the leaving of the job. */
  readonly batchWaitMs: number;
}

/** A request on its way: waiting in the batch former, then part of a job. */
export interface Entry extends BatchEntry, Expirable {
  readonly request: CoalescerRequest;
  readonly addedAtMs: number;
  /** Answered, failed or expired. */
  isOver: boolean;
  resolve(answer: CoalescedAnswer): void;
  reject(error: unknown): void;
}

/** Holds one of the version's permits until it is finished. */
export interface JobInFlight extends Expirable {
  readonly job: InferenceJob;
  readonly batch: Batch<Entry>;
  readonly load: VersionLoad;
  readonly isCold: boolean;
  /** Redis has it. */
  isAdded: boolean;
  isTakingBack: boolean;
}

export function end(entry: Entry, error: unknown): void {
  entry.isOver = true;
  entry.reject(error);
}

export function isGone(entry: Entry): boolean {
  return entry.isOver || entry.signal?.aborted === true;
}

export function publishDrop(reason: DropEvent['reason'], stage: DropEvent['stage']): void {
  channels.drop.publish({ reason, stage, requests: 1 } satisfies DropEvent);
}

export function publishJobEvent(phase: JobEvent['phase'], flight: JobInFlight): void {
  if (channels.job.hasSubscribers) channels.job.publish(jobEventOf(phase, flight));
}

export function jobEventOf(phase: JobEvent['phase'], { job, batch }: JobInFlight): JobEvent {
  const { id: jobId, model, version, lane } = job;
  return { phase, jobId, model, version, lane, rows: batch.rowCount, entries: batch.entries.length };
}
