import type { NamedTensors } from '../../tensors/tensor.ts';
import type { TensorSpec } from '../../tensors/tensor-spec.ts';

/** Port: one loaded model. Runs are not concurrent: the caller waits for one before the next. */
export interface Session {
  readonly inputs: readonly TensorSpec[];
  readonly outputs: readonly TensorSpec[];
  /**
   * `outputs` names the graph outputs to fetch, null all. Throws MillraceError `invalid_input` when the values
   * of the feeds are at fault (an index out of range, say), `internal_error` otherwise.
   */
  run(feeds: NamedTensors, outputs: readonly string[] | null): Promise<NamedTensors>;
  /** Gives the memory back. No run may follow. */
  release(): Promise<void>;
}

export interface SessionOptions {
  readonly intraOpThreads: number;
}

/** Throws MillraceError `invalid_input` when the bytes are not a model that can be run here. */
export type CreateSession = (bytes: Uint8Array, options: SessionOptions) => Promise<Session>;
