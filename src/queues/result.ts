import type { ErrorRecord } from '../errors.ts';
import type { NamedTensors } from '../tensors/tensor.ts';

/** Wire contract of a result, version 1. */
export const resultSchemaVersion = 1;

/** Entries that have no rows in `tensors`, by index into the job's entries. */
export interface EntryFailure {
  readonly entryIndex: number;
  readonly reason: 'failed' | 'expired' | 'cancelled';
  readonly error: ErrorRecord;
}

export interface ResultTimings {
  /** From submission to the worker's taking the job. */
  readonly queueMs: number;
  /** From taking the job to the start of the run: waiting for a host, loading, pre-processing. */
  readonly waitMs: number;
  /** Inside session.run. */
  readonly runMs: number;
}

/**
 * The one terminal answer to a job. `tensors` holds, by result name, the rows of every entry that is not in
 * `failures`, joined along axis 0 in entry order (axis 0 is always rows, also for models without a batch axis). Result names by task:
 * - classification: `label` (INT32 index into the version's labels, or the raw label tensor where labels are
 *   unknown; shape [N]) and, when the model gives them, `probabilities` (FP32 or FP64, shape [N, C]);
 * - regression: `value` ([N] or [N, K]);
 * - tensor: the graph's output names;
 * plus any outputs that were asked for by name.
 */
export interface InferenceResult {
  readonly schemaVersion: typeof resultSchemaVersion;
  readonly id: string;
  readonly workerId: string;
  readonly failures: readonly EntryFailure[];
  readonly tensors: NamedTensors;
  readonly timings: ResultTimings;
  /** Rows that shared the run. */
  readonly batchRows: number;
}
