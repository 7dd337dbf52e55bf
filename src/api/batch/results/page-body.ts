import type { BatchRecord } from '../../../queues/batch/batch.ts';
import { isFinal } from '../../../queues/batch/batch.ts';
import type { ChunkResult } from '../../../queues/batch/chunk.ts';
import { rowTexts } from './row-texts.ts';
import type { RowRange } from './row-texts.ts';
import type { RowWriter } from './row-writer.ts';

/** `{ "predictions": [ … ], … }` in pieces. `writer` is of format `json`. */
export async function* pageBody(
  batch: BatchRecord,
  chunks: AsyncIterable<ChunkResult>,
  writer: RowWriter,
  range: RowRange,
): AsyncGenerator<string, void> {
  const head = JSON.stringify({
    status: batch.status,
    model_name: batch.model,
    model_version: batch.version,
  });
  yield `${head.slice(0, -1)},"predictions":[`;
  const nextRow = yield* rowTexts(chunks, writer, range);
  const cursor = hasMore(batch, nextRow, range.fromRow) ? String(nextRow) : null;
  yield `],"next_cursor":${JSON.stringify(cursor)}}`;
}

/** While the batch goes on there may be more, also after an empty page; once it has ended, an empty page is the last. */
function hasMore(batch: BatchRecord, nextRow: number, fromRow: number): boolean {
  if (!isFinal(batch.status)) return true;
  return nextRow > fromRow && nextRow < batch.rowsReceived;
}
