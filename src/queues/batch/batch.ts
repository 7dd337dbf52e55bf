import type { ErrorRecord } from '../../errors.ts';

/** `queued` until its first run begins. The last three are final: nothing leads out of them. */
export type BatchStatus = 'queued' | 'running' | 'completed' | 'failed' | 'cancelled';

/** How the caller wants results rendered. The same for all rows. */
export interface RenderChoice {
  readonly returnProbability: boolean;
  readonly topK: number | null;
  readonly outputs: readonly string[] | null;
}

/** What is settled about a batch when it is made. */
export interface NewBatch {
  /** `batch_` and a ULID. */
  readonly id: string;
  /** Id of the principal that may see it. */
  readonly owner: string;
  readonly model: string;
  /** Resolved once: a batch never mixes versions. */
  readonly version: string;
  readonly servedDigest: string;
  readonly pool: string;
  readonly render: RenderChoice;
  /** Where the batch object is sent when it ends. */
  readonly webhook: string | null;
  /** The batch whose failed rows this one runs again. */
  readonly retryOf: string | null;
  /** From the end of the batch on; ms. */
  readonly retentionMs: number;
}

/** A batch as the ledger knows it. Times are milliseconds of the shared (Redis) clock. */
export interface BatchRecord extends NewBatch {
  readonly status: BatchStatus;
  /** No chunk of it begins. Only while it is not final. */
  readonly paused: boolean;
  /** Null while the upload goes on. */
  readonly rowsTotal: number | null;
  /** Of all chunks that have arrived. */
  readonly rowsReceived: number;
  readonly rowsSucceeded: number;
  /** Refused at the door or failed in the run. */
  readonly rowsFailed: number;
  /** Failed rows whose input is kept, so that they can run again. */
  readonly rowsRetryable: number;
  readonly chunksReceived: number;
  readonly chunksDone: number;
  readonly createdAtMs: number;
  readonly startedAtMs: number | null;
  readonly finishedAtMs: number | null;
  /** Null until it has ended. */
  readonly expiresAtMs: number | null;
  /** Why the batch as a whole has failed. */
  readonly failure: ErrorRecord | null;
  /** Counts every change of this record, from 1: `id` of its server-sent events. */
  readonly revision: number;
}

/** A chunk's name: consecutive rows of a batch that are stored, queued and settled together. `index` counts from 0. */
export interface ChunkRef {
  readonly batchId: string;
  readonly index: number;
}

/** One batch in one row of a listing, or of an owner: ULIDs sort by time, so the newest is the greatest id. */
export interface BatchPage {
  readonly batches: readonly BatchRecord[];
  /** Pass it as `after` for the next page; null at the end. */
  readonly next: string | null;
}

export function isFinal(status: BatchStatus): boolean {
  return status === 'completed' || status === 'failed' || status === 'cancelled';
}
