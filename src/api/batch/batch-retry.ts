import { MillraceError } from '../../errors.ts';
import { isFinal } from '../../queues/batch/batch.ts';
import type { BatchRecord } from '../../queues/batch/batch.ts';
import type { BatchLedger, ChunkStore, StoredChunk } from '../../queues/batch/batch-ledger.ts';
import { decodeChunkInput, decodeChunkResult, lineOf } from '../../queues/batch/chunk.ts';
import type { ChunkInput, ChunkResult } from '../../queues/batch/chunk.ts';
import { checkOpenBatches } from '../../queues/batch/open-batches.ts';
import { selectRows } from '../../tensors/batch.ts';
import type { PackedBatches, PackedRows } from './packed-batches.ts';

export interface BatchRetryOptions {
  readonly ledger: Pick<BatchLedger, 'chunks' | 'openCount'>;
  readonly store: Pick<ChunkStore, 'readInput' | 'readResult'>;
  readonly packed: PackedBatches;
  /** Batches of one owner at once, as for new ones. */
  readonly openMax: number;
}

/** Entries of the ledger read at once. */
const listedChunkCount = 64;

/** The rows of a batch that reached a run and failed in it, as a batch of their own. */
export class BatchRetry {
  readonly #options: BatchRetryOptions;

  constructor(options: BatchRetryOptions) {
    this.#options = options;
  }

  /**
   * Of the same model version; the rows keep the caller's ids (where it gave none, their number in `batch` becomes it)
   * and their lines. `id` is that of the new batch. It belongs to the owner of `batch`. Durable when this resolves.
   * Throws `conflict` when the batch has not ended or nothing in it can run again, `rate_limit_exceeded` when its owner
   * has too many that have not, and what submitting throws.
   */
  async retry(batch: BatchRecord, id?: string): Promise<BatchRecord> {
    if (!isFinal(batch.status))
      throw new MillraceError('conflict', 'The batch has not ended', {
        details: 'Its failed rows can be run again once it has',
      });
    if (batch.rowsRetryable === 0) throw nothingToRun();
    const { ledger, packed, openMax } = this.#options;
    await checkOpenBatches(ledger, batch.owner, openMax);
    const again = await packed.submit({ ...batch, retryOf: batch.id }, this.#failedRows(batch), {
      id,
      openMax,
    });
    if (again === undefined) throw nothingToRun();
    return again;
  }

  async *#failedRows(batch: BatchRecord): AsyncGenerator<PackedRows> {
    const { ledger } = this.#options;
    for (let from = 0; ; ) {
      // One look after the other: a batch may have thousands of chunks.
      // oxlint-disable-next-line no-await-in-loop
      const chunks = await ledger.chunks(batch.id, from, listedChunkCount);
      for (const chunk of chunks) {
        // oxlint-disable-next-line no-await-in-loop
        if (chunk.rowsRetryable > 0) yield* await this.#failedRowsOf(batch.id, chunk);
      }
      from += chunks.length;
      if (chunks.length < listedChunkCount) return;
    }
  }

  async #failedRowsOf(
    batchId: string,
    { index, input, result }: StoredChunk,
  ): Promise<readonly PackedRows[]> {
    const { store } = this.#options;
    const ref = { batchId, index };
    if (input === null || result === null) return [];
    const [inputBytes, resultBytes] = await Promise.all([
      store.readInput(ref, input),
      store.readResult(ref, result),
    ]);
    if (inputBytes === undefined || resultBytes === undefined) return [];
    return [rowsAgain(decodeChunkInput(ref, inputBytes), decodeChunkResult(ref, resultBytes))];
  }
}

function nothingToRun(): MillraceError {
  return new MillraceError('conflict', 'No row of the batch can be run again', {
    details: 'Rows that were refused would be refused again; others have not failed, or their input is gone',
  });
}

/** The tensors hold the rows that were not refused: a row stands in them as many places earlier as were refused before it. */
function rowsAgain(input: ChunkInput, result: ChunkResult): PackedRows {
  const refused = input.refusals.map(({ row }) => row);
  const rows = result.failures.filter(({ retryable }) => retryable).map(({ row }) => row);
  let refusedBefore = 0;
  const places = rows.map((row) => {
    while (refusedBefore < refused.length && (refused[refusedBefore] as number) < row) refusedBefore += 1;
    return row - refusedBefore;
  });
  const lines = rows.map((row) => lineOf(input, row));
  return {
    ids: rows.map((row) => input.ids?.[row] ?? String(input.firstRow + row)),
    lines: lines.some((line) => line === null) ? null : { each: lines as number[] },
    tensors: selectRows(input.tensors, places),
  };
}
