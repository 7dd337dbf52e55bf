import { MillraceError } from '../../../errors.ts';
import type { BatchRecord } from '../../../queues/batch/batch.ts';
import type { BatchLedger, ChunkStore } from '../../../queues/batch/batch-ledger.ts';
import { decodeChunkResult } from '../../../queues/batch/chunk.ts';
import type { ChunkResult } from '../../../queues/batch/chunk.ts';
import type { BatchFeeds } from '../batch-feed.ts';
import { FinishedChunks } from './finished-chunks.ts';
import type { FinishedChunk } from './finished-chunks.ts';

export interface ResultSource {
  readonly ledger: Pick<BatchLedger, 'get' | 'chunks' | 'chunkOfRow'>;
  readonly store: Pick<ChunkStore, 'readResult'>;
  readonly feeds: BatchFeeds;
}

export interface ResultWish {
  /** Row of the batch to begin with. */
  readonly fromRow: number;
  /** Waits at the first unfinished chunk, until the batch has ended. */
  readonly follow: boolean;
  /** The reader has left, or the process is stopping. */
  readonly signal: AbortSignal;
}

/**
 * Results of a batch by chunks, in order, from the one on that holds `fromRow`. The next chunk is read while the reader
 * works on the one before: two are in memory. Throws what FinishedChunks and the store throw.
 */
export async function* chunkResults(
  source: ResultSource,
  batch: BatchRecord,
  { fromRow, follow, signal }: ResultWish,
): AsyncGenerator<ChunkResult> {
  const { ledger, feeds } = source;
  const fromIndex = (await ledger.chunkOfRow(batch.id, fromRow)) ?? batch.chunksReceived;
  const finished = new FinishedChunks({ ledger, feeds, batch, fromIndex, follow, signal });
  const read = (entry: FinishedChunk | undefined): Promise<ChunkResult> | undefined => {
    const reading = entry === undefined ? undefined : readChunk(source, batch.id, entry);
    // Who stops reading leaves it behind, and its failure is then nobody's.
    reading?.catch(() => undefined);
    return reading;
  };
  try {
    let reading = read(await finished.next());
    while (reading !== undefined) {
      // One after the other on purpose: it is the order of the rows.
      // oxlint-disable-next-line no-await-in-loop
      const chunk: ChunkResult = await reading;
      reading = read(finished.listed());
      yield chunk;
      // oxlint-disable-next-line no-await-in-loop
      reading ??= read(await finished.next());
    }
  } finally {
    finished.end();
  }
}

async function readChunk(
  { ledger, store }: ResultSource,
  batchId: string,
  { index, result }: FinishedChunk,
): Promise<ChunkResult> {
  const bytes = await store.readResult({ batchId, index }, result);
  if (bytes !== undefined) return decodeChunkResult({ batchId, index }, bytes);
  if ((await ledger.get(batchId)) === undefined)
    throw new MillraceError('not_found', 'The batch is there no more');
  throw new MillraceError('bad_gateway', `The result of chunk ${index} of ${batchId} is missing`);
}
