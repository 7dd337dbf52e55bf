import { createHash } from 'node:crypto';
import { MillraceError, toErrorRecord } from '../../errors.ts';
import type { ErrorRecord } from '../../errors.ts';
import type { DeadLetter } from '../../queues/batch/batch-ledger.ts';
import type { BatchRecord } from '../../queues/batch/batch.ts';
import { lineOf } from '../../queues/batch/chunk.ts';
import type { ChunkInput, ChunkResult, ChunkRows, RowFailure } from '../../queues/batch/chunk.ts';
import { joinRows, sliceRows } from '../../tensors/batch.ts';
import { encodeTensors } from '../../tensors/binary-codec.ts';
import type { NamedTensors } from '../../tensors/tensor.ts';
import { errorOf } from '../isolate.ts';
import type { Attempt, Part } from '../isolate.ts';

/** A row that failed in a run. */
export interface FailedRow {
  /** Within the chunk. */
  readonly row: number;
  /** Among the rows that were not refused. */
  readonly place: number;
  readonly error: ErrorRecord;
}

/** What became of the rows of a chunk. */
export interface ChunkEnd {
  readonly result: ChunkResult;
  /** With their inputs, for the dead letters. */
  readonly failed: readonly FailedRow[];
}

/** In bulk nothing is late: what expired has found no host. */
export function bulkErrorOf(outcome: Exclude<Attempt<unknown>, { kind: 'ran' }>): MillraceError {
  return outcome.kind === 'expired'
    ? new MillraceError('service_unavailable', 'No host was free for so long that the row was given up')
    : errorOf(outcome);
}

/** From the parts of its runs, which cover the rows that were not refused. */
export function endOf(input: ChunkInput, parts: readonly Part<NamedTensors>[]): ChunkEnd {
  const rows = unrefusedRows(input);
  const failed: FailedRow[] = [];
  const ran: NamedTensors[] = [];
  for (const { fromRow, rowCount, outcome } of parts) {
    if (outcome.kind === 'ran') ran.push(outcome.value);
    else {
      const error = bulkErrorOf(outcome);
      for (let place = fromRow; place < fromRow + rowCount; place += 1)
        failed.push(failedRow(input, rows[place] as number, place, error));
    }
  }
  return { result: resultOf(input, failed, true, ran.length === 0 ? new Map() : joinRows(ran)), failed };
}

/** Every row that was not refused fails with the same error. `isRetryable`: another time it may not. */
export function failAll(input: ChunkInput, error: MillraceError, isRetryable: boolean): ChunkEnd {
  const failed = unrefusedRows(input).map((row, place) => failedRow(input, row, place, error));
  return { result: resultOf(input, failed, isRetryable, new Map()), failed: isRetryable ? failed : [] };
}

/** The input is gone or cannot be read: nothing can be run, now or later. */
export function failUnreadable(
  rows: Pick<ChunkRows, 'firstRow' | 'rowCount'>,
  error: MillraceError,
): ChunkEnd {
  return failAll({ ...rows, ids: null, lines: null, refusals: [], tensors: new Map() }, error, false);
}

export function deadLettersOf(
  batch: BatchRecord,
  input: ChunkInput,
  failed: readonly FailedRow[],
  attempts: number,
  atMs: number,
): readonly (DeadLetter & { readonly input: Uint8Array })[] {
  const { id: batchId, owner, model, version, servedDigest, pool, render } = batch;
  return failed.map(({ row, place, error }) => {
    const packed = encodeTensors(sliceRows(input.tensors, place, 1));
    const rowOfBatch = input.firstRow + row;
    return {
      id: `${batchId}.${rowOfBatch}`,
      batchId,
      owner,
      model,
      version,
      servedDigest,
      pool,
      render,
      row: rowOfBatch,
      rowId: input.ids?.[row] ?? null,
      line: lineOf(input, row),
      error,
      inputDigest: createHash('sha256').update(packed).digest('hex'),
      attempts,
      atMs,
      input: packed,
    };
  });
}

/** For each row of the tensors, which row of the chunk it is. */
function unrefusedRows({ rowCount, refusals }: ChunkInput): readonly number[] {
  const refused = new Set(refusals.map(({ row }) => row));
  const rows: number[] = [];
  for (let row = 0; row < rowCount; row += 1) if (!refused.has(row)) rows.push(row);
  return rows;
}

function failedRow(input: ChunkInput, row: number, place: number, error: MillraceError): FailedRow {
  return { row, place, error: nameRow(input, row, error) };
}

/** The row as the caller counts, and its line where there are any. */
function nameRow(rows: ChunkRows, row: number, error: MillraceError): ErrorRecord {
  const line = lineOf(rows, row);
  const rowOfBatch = rows.firstRow + row;
  const where = line === null ? `Row ${rowOfBatch}` : `Row ${rowOfBatch} (line ${line})`;
  const record = toErrorRecord(error);
  const named = { ...record, message: `${where}: ${record.message}` };
  if (error.code !== 'invalid_input' || error.details !== undefined) return named;
  const path = `inputs[${rowOfBatch}]`;
  return {
    ...named,
    details: [{ path, expected: 'values that the model can run on', found: error.message }],
  };
}

function resultOf(
  { firstRow, rowCount, ids, lines, refusals }: ChunkInput,
  failed: readonly FailedRow[],
  retryable: boolean,
  tensors: NamedTensors,
): ChunkResult {
  const failures: readonly RowFailure[] = [
    ...refusals,
    ...failed.map(({ row, error }) => ({ row, error, retryable })),
  ].toSorted((a, b) => a.row - b.row);
  return { firstRow, rowCount, ids, lines, failures, tensors };
}
