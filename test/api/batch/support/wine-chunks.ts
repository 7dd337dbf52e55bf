import type { ChunkInput, ChunkResult, ChunkRows, RowFailure } from '../../../../src/queues/batch/chunk.ts';
import { tensor } from '../../../support/builders.ts';

/** What a chunk of the sample model holds: each value tells its row, so that a mix-up shows. */
export interface WineChunk extends Partial<Pick<ChunkRows, 'ids' | 'lines'>> {
  readonly firstRow: number;
  readonly rowCount: number;
  /** Refused at the door; rows of the chunk. */
  readonly refused?: readonly number[];
  /** Failed in the run; rows of the chunk. */
  readonly failed?: readonly number[];
}

export const wineLabels = ['class_0', 'class_1', 'class_2'] as const;

/** Of the batch's row: sixteenths, exact in FP32. */
export function wineScore(row: number): number {
  return 0.5 + (row % 8) / 16;
}

export function wineInput(chunk: WineChunk): ChunkInput {
  const rows = rowsWithout(chunk, chunk.refused ?? []);
  return {
    ...rowsOf(chunk),
    refusals: (chunk.refused ?? []).map(refusal),
    tensors: new Map([
      [
        'X',
        tensor(
          'FP32',
          [rows.length, 5],
          rows.flatMap((row) => [row, row + 1, row + 2, row + 3, row + 4]),
        ),
      ],
    ]),
  };
}

export function wineResult(chunk: WineChunk): ChunkResult {
  const { refused = [], failed = [] } = chunk;
  const failures = [...refused.map(refusal), ...failed.map(failure)].sort((a, b) => a.row - b.row);
  const rows = rowsWithout(
    chunk,
    failures.map(({ row }) => row),
  );
  const labels = rows.map((row) => row % 3);
  const probabilities = rows.flatMap((row) => {
    const rest = (1 - wineScore(row)) / 2;
    return [0, 1, 2].map((label) => (label === row % 3 ? wineScore(row) : rest));
  });
  return {
    ...rowsOf(chunk),
    failures,
    tensors:
      rows.length === 0
        ? new Map()
        : new Map([
            ['label', tensor('INT32', [rows.length], labels)],
            ['probabilities', tensor('FP32', [rows.length, 3], probabilities)],
          ]),
  };
}

function rowsOf({ firstRow, rowCount, ids = null, lines = null }: WineChunk): ChunkRows {
  return { firstRow, rowCount, ids, lines };
}

/** Rows of the batch. */
function rowsWithout({ firstRow, rowCount }: WineChunk, gone: readonly number[]): number[] {
  return Array.from({ length: rowCount }, (_, row) => row)
    .filter((row) => !gone.includes(row))
    .map((row) => firstRow + row);
}

function refusal(row: number): RowFailure {
  const details = [{ path: 'inputs[2]', expected: 'a number', found: 'string "x"' }];
  return {
    row,
    retryable: false,
    error: { code: 'invalid_input', message: 'It is, "well", not a number', details },
  };
}

function failure(row: number): RowFailure {
  return { row, retryable: true, error: { code: 'internal_error', message: 'Secrets of the model' } };
}
