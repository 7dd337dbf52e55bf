import { MillraceError } from '../errors.ts';
import type { Manifest } from '../registry/manifest.ts';
import type { BatchAxis } from '../registry/signature.ts';
import { rowCount, selectRows, sliceRows } from '../tensors/batch.ts';
import type { NamedTensors, Tensor } from '../tensors/tensor.ts';

/** Consecutive rows of a job. */
export interface RowRange {
  readonly fromRow: number;
  readonly rowCount: number;
}

/** Cuts the rows of a job into ranges, each of which is one run. */
export function planRuns(totalRows: number, batch: BatchAxis, batchRowsMax: number): readonly RowRange[] {
  const rowsPerRun = rowsPerRunOf(batch, batchRowsMax);
  return Array.from({ length: Math.ceil(totalRows / rowsPerRun) }, (_, index) => ({
    fromRow: index * rowsPerRun,
    rowCount: Math.min(rowsPerRun, totalRows - index * rowsPerRun),
  }));
}

/**
 * The same one by one, each as large as is right when it is its turn: `batchRowsMax` is asked anew, since the runs
 * before tell how long one takes. Runs of a dynamic batch axis are of equal size, so that none is a small rest.
 */
export function* cutRuns(
  totalRows: number,
  batch: BatchAxis,
  batchRowsMax: () => number,
): Generator<RowRange, void> {
  let fromRow = 0;
  while (fromRow < totalRows) {
    const leftRows = totalRows - fromRow;
    const most = rowsPerRunOf(batch, batchRowsMax());
    const rows = batch.kind === 'dynamic' ? Math.ceil(leftRows / Math.ceil(leftRows / most)) : most;
    const range = { fromRow, rowCount: Math.min(rows, leftRows) };
    yield range;
    fromRow += range.rowCount;
  }
}

/** Most rows of a run: what the manifest says of rows and bytes, else `rowsMax`. */
export function runRowsMax({ batching }: Manifest, rowsMax: number, rowBytes: number): number {
  const rows = batching?.max_batch_size ?? rowsMax;
  const bytesMax = batching?.max_batch_bytes;
  return bytesMax === undefined ? rows : Math.max(1, Math.min(rows, Math.floor(bytesMax / rowBytes)));
}

function rowsPerRunOf(batch: BatchAxis, batchRowsMax: number): number {
  switch (batch.kind) {
    case 'dynamic':
      return batchRowsMax;
    case 'fixed':
      return batch.size;
    case 'none':
      return 1;
  }
}

/** Rows (axis 0 of every tensor) as the graph takes them: padded with copies of the last row, or without axis 0. */
export function toRunInputs(rows: NamedTensors, batch: BatchAxis): NamedTensors {
  switch (batch.kind) {
    case 'dynamic':
      return rows;
    case 'fixed':
      return padRows(rows, batch.size);
    case 'none':
      return mapTensors(rows, (tensor) => ({ ...tensor, shape: tensor.shape.slice(1) }));
  }
}

/**
 * Outputs of a run of `expectedRows` rows, as rows. Throws `internal_error` when the model gave back another
 * number of rows than it got: answers would go to the wrong callers.
 */
export function fromRunOutputs(outputs: NamedTensors, expectedRows: number, batch: BatchAxis): NamedTensors {
  if (batch.kind === 'none')
    return mapTensors(outputs, (tensor) => ({ ...tensor, shape: [1, ...tensor.shape] }));
  const runRows = batch.kind === 'fixed' ? batch.size : expectedRows;
  const rows = rowCount(outputs);
  if (outputs.size > 0 && rows !== runRows)
    throw new MillraceError('internal_error', `The model gave ${rows} rows back for ${runRows}`);
  return outputs.size === 0 ? outputs : sliceRows(outputs, 0, expectedRows);
}

function padRows(rows: NamedTensors, size: number): NamedTensors {
  const given = rowCount(rows);
  if (given === size) return rows;
  return selectRows(
    rows,
    Array.from({ length: size }, (_, row) => Math.min(row, given - 1)),
  );
}

function mapTensors(tensors: NamedTensors, change: (tensor: Tensor) => Tensor): NamedTensors {
  return new Map(Array.from(tensors, ([name, tensor]) => [name, change(tensor)] as const));
}
