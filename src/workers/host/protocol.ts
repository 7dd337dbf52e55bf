import type { ErrorRecord } from '../../errors.ts';
import type { TensorSpec } from '../../tensors/tensor-spec.ts';

/**
 * The protocol between a worker and its host process, version 1. Two pipes, so that lifecycle messages never
 * wait behind tensors: control on fd 3, data (`run`, `ran`) on fd 4. Each message is one frame (frames.ts):
 * a JSON header and raw bytes. A golden file for each variant is in test/workers/host/.
 */
export const protocolVersion = 1;

export type ControlRequest =
  /**
   * Create a session from the file at `path`. The host hashes the bytes that it read and loads those very
   * bytes, so that neither a file swapped meanwhile nor its siblings can be reached. Answered by `loaded` or
   * `failed`.
   */
  | {
      readonly type: 'load';
      readonly id: number;
      /** Names the session in later messages: `model/version@servedDigest`. */
      readonly key: string;
      readonly path: string;
      /** SHA-256 that the bytes must have. */
      readonly digest: string;
      readonly intraOpThreads: number;
    }
  /** Release the session after its last run. Answered by `unloaded`. */
  | { readonly type: 'unload'; readonly id: number; readonly key: string }
  /** Finish the run in hand and exit with code 0. */
  | { readonly type: 'stop' };

export type ControlResponse =
  /** First message: the process is up. */
  | { readonly type: 'ready'; readonly protocolVersion: number; readonly pid: number }
  | {
      readonly type: 'loaded';
      readonly id: number;
      readonly key: string;
      readonly inputs: readonly TensorSpec[];
      readonly outputs: readonly TensorSpec[];
      readonly loadMs: number;
      readonly rssBytes: number;
    }
  | { readonly type: 'unloaded'; readonly id: number; readonly key: string; readonly rssBytes: number }
  | { readonly type: 'failed'; readonly id: number; readonly error: ErrorRecord };

export type DataRequest =
  /** Body: tensors by binary-codec. Answered by `ran` or `run_failed`, in order. */
  {
    readonly type: 'run';
    readonly id: number;
    readonly key: string;
    /** Graph outputs to fetch; null for all. */
    readonly outputs: readonly string[] | null;
  };

export type DataResponse =
  /** Body: tensors by binary-codec. */
  | { readonly type: 'ran'; readonly id: number; readonly runMs: number }
  | { readonly type: 'run_failed'; readonly id: number; readonly error: ErrorRecord };
