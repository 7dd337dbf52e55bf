import { fromErrorRecord, MillraceError } from '../errors.ts';
import type { EntryFailure, InferenceResult } from './result.ts';

/** What a job's result holds for one of its entries: where its rows begin, or why it has none. */
export type EntryShare =
  | { readonly kind: 'rows'; readonly firstRow: number }
  | { readonly kind: 'failed'; readonly error: MillraceError };

/**
 * The share of each entry, given the rows of each. Throws `internal_error` when the rows of the tensors are not
 * those of the entries that did not fail: an answer must never be given from another's rows.
 */
export function entryShares(result: InferenceResult, rowCounts: readonly number[]): readonly EntryShare[] {
  const failures = new Map(result.failures.map((failure) => [failure.entryIndex, failure]));
  let rows = 0;
  const shares = rowCounts.map((rowCount, index): EntryShare => {
    const failure = failures.get(index);
    if (failure !== undefined) return { kind: 'failed', error: toError(failure) };
    const firstRow = rows;
    rows += rowCount;
    return { kind: 'rows', firstRow };
  });
  if (rows > 0 && result.tensors.size === 0) throw mismatch('no tensors', rows);
  for (const [name, tensor] of result.tensors)
    if (tensor.shape[0] !== rows) throw mismatch(`${tensor.shape[0] ?? 'no'} rows in ${name}`, rows);
  return shares;
}

function toError({ reason, error }: EntryFailure): MillraceError {
  return reason === 'expired' ? new MillraceError('timeout') : fromErrorRecord(error);
}

function mismatch(found: string, expected: number): MillraceError {
  return new MillraceError(
    'internal_error',
    `The result does not fit its job: ${found}, not ${expected} rows`,
  );
}
