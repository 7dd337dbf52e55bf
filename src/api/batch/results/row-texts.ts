import { setImmediate as nextTurn } from 'node:timers/promises';
import type { ChunkResult } from '../../../queues/batch/chunk.ts';
import type { RowWriter } from './row-writer.ts';

export interface RowRange {
  /** Of the batch. */
  readonly fromRow: number;
  /** Rows at most; may be Infinity. */
  readonly limit: number;
  /** Hands on what there is whenever a chunk ends: the next one may be long in coming. */
  readonly prompt: boolean;
}

/** One write to the socket: large enough that its own cost vanishes, small enough to wait in memory. */
const pieceCharsMax = 65_536;
/** Values turned to text between two looks at the clock: at some 3 million a second, about a millisecond. */
const valuesAtOnce = 4096;
/** How long rendering may hold the event loop: predictions wait behind it. */
const turnMsMax = 3;

/**
 * The rows of a range as pieces of text. Whoever reads slowly makes it wait; whoever reads fast does not keep others
 * from their turn. Returns the row after the last.
 */
export async function* rowTexts(
  chunks: AsyncIterable<ChunkResult>,
  writer: RowWriter,
  { fromRow, limit, prompt }: RowRange,
): AsyncGenerator<string, number> {
  let text = writer.head;
  let nextRow = fromRow;
  let left = limit;
  let first = true;
  let turnAtMs = performance.now();
  for await (const chunk of chunks) {
    const rowsAtOnce = Math.max(1, Math.floor(valuesAtOnce / valuesPerRow(chunk)));
    let row = Math.max(0, nextRow - chunk.firstRow);
    const end = Math.min(chunk.rowCount, row + left);
    while (row < end) {
      const to = Math.min(row + rowsAtOnce, end);
      const written = writer.write(chunk, row, to);
      text += first ? written.slice(writer.separator.length) : written;
      first = false;
      left -= to - row;
      row = to;
      nextRow = chunk.firstRow + row;
      if (text.length >= pieceCharsMax) {
        yield text;
        text = '';
      }
      if (performance.now() - turnAtMs < turnMsMax) continue;
      await nextTurn();
      turnAtMs = performance.now();
    }
    if (left === 0) break;
    if (!prompt || text === '') continue;
    yield text;
    text = '';
  }
  if (text !== '') yield text;
  return nextRow;
}

function valuesPerRow({ tensors, rowCount }: ChunkResult): number {
  let values = 0;
  for (const tensor of tensors.values()) values += tensor.data.length;
  return Math.max(1, values / rowCount);
}
