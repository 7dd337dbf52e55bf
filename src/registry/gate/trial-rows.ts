import { sliceRows, selectRows } from '../../tensors/batch.ts';
import type { NamedTensors, Tensor } from '../../tensors/tensor.ts';
import type { BatchAxis } from '../signature.ts';

/** One row as the graph takes it: alone, repeated to a fixed size, or without the row axis. */
export function fromOneRow(row: NamedTensors, batch: BatchAxis): NamedTensors {
  if (batch.kind === 'none') return reshape(row, (shape) => shape.slice(1));
  if (batch.kind === 'dynamic') return row;
  return selectRows(
    row,
    Array.from({ length: batch.size }, () => 0),
  );
}

/** The first `rows` rows of what came out, with a row axis also where the graph has none. */
export function toRows(outputs: NamedTensors, batch: BatchAxis, rows: number): NamedTensors {
  if (batch.kind === 'none') return reshape(outputs, (shape) => [1, ...shape]);
  return sliceRows(outputs, 0, rows);
}

function reshape(
  tensors: NamedTensors,
  change: (shape: readonly number[]) => readonly number[],
): NamedTensors {
  return new Map(
    [...tensors].map(([name, tensor]): [string, Tensor] => [
      name,
      { datatype: tensor.datatype, shape: change(tensor.shape), data: tensor.data },
    ]),
  );
}
