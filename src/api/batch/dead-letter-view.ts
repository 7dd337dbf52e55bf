import type { DeadLetter } from '../../queues/batch/batch-ledger.ts';
import { shownError } from '../shown-error.ts';
import type { ShownError } from '../shown-error.ts';
import { batchPath } from './batch-view.ts';

/** What an admin sees of a dead letter. */
export interface DeadLetterObject {
  readonly id: string;
  readonly batch_id: string;
  /** Of the batch, from 0. */
  readonly row: number;
  /** The caller's own id of the row. */
  readonly row_id: string | null;
  readonly line: number | null;
  readonly model_name: string;
  readonly model_version: string;
  /** Of the packed row, SHA-256: equal inputs have equal digests. */
  readonly input_digest: string;
  readonly error: ShownError;
  readonly attempts: number;
  readonly failed_at: string;
  readonly links: { readonly batch: string; readonly replay: string };
}

export function toDeadLetterObject(letter: DeadLetter): DeadLetterObject {
  return {
    id: letter.id,
    batch_id: letter.batchId,
    row: letter.row,
    row_id: letter.rowId,
    line: letter.line,
    model_name: letter.model,
    model_version: letter.version,
    input_digest: letter.inputDigest,
    error: shownError(letter.error),
    attempts: letter.attempts,
    failed_at: new Date(letter.atMs).toISOString(),
    links: { batch: batchPath(letter.batchId), replay: `/api/v1/dead-letters/${letter.id}/replay` },
  };
}
