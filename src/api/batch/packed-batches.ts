import { toErrorRecord } from '../../errors.ts';
import type { BatchRecord, NewBatch } from '../../queues/batch/batch.ts';
import type { BatchLedger, ChunkStore } from '../../queues/batch/batch-ledger.ts';
import { encodeChunkInput } from '../../queues/batch/chunk.ts';
import type { ChunkInput } from '../../queues/batch/chunk.ts';
import type { MemoryGuard } from '../../queues/memory-guard.ts';
import { rowCount } from '../../tensors/batch.ts';
import { newBatchId } from '../idempotency/batch-turn.ts';

/** Rows that are packed already, of one chunk. */
export type PackedRows = Pick<ChunkInput, 'ids' | 'lines' | 'tensors'>;

export interface PackedBatchesOptions {
  readonly ledger: Pick<BatchLedger, 'create' | 'addChunk' | 'seal' | 'fail' | 'durable'>;
  readonly store: Pick<ChunkStore, 'place'>;
  readonly memory: Pick<MemoryGuard, 'admit'>;
  /** There are chunks for the lane of this pool. */
  readonly feed: (pool: string) => void;
}

export interface PackedBatchChoice {
  /** Of the new batch. */
  readonly id?: string | undefined;
  /** Batches of its owner that have not ended, with this one. */
  readonly openMax?: number;
}

/** Batches of rows that need no parsing: those that failed before and run again. */
export class PackedBatches {
  readonly #options: PackedBatchesOptions;

  constructor(options: PackedBatchesOptions) {
    this.#options = options;
  }

  /**
   * Makes a batch with the owner, version and choices of `like` and of these rows; undefined, and no batch, where there
   * are none. Durable when this resolves. A batch that cannot be made to its end is failed, never left open. Throws
   * `rate_limit_exceeded` when its owner has too many, `service_unavailable` while Redis is short of memory, and what
   * ledger and store throw.
   */
  async submit(
    like: Omit<NewBatch, 'id'>,
    chunks: AsyncIterable<PackedRows>,
    { id = newBatchId(), openMax }: PackedBatchChoice = {},
  ): Promise<BatchRecord | undefined> {
    const { ledger, memory } = this.#options;
    memory.admit();
    try {
      const rowsTotal = await this.#add(newBatch(id, like), chunks, openMax);
      if (rowsTotal === 0) return undefined;
      const record = await ledger.seal(id, rowsTotal);
      await ledger.durable(record);
      this.#options.feed(like.pool);
      return record;
    } catch (error) {
      // There may be no batch yet. What fails again here is failed by the sweeper, once the upload's lease has run out.
      await ledger.fail(id, toErrorRecord(error)).catch(() => undefined);
      throw error;
    }
  }

  /** Makes the batch with its first rows. Returns the number of rows. */
  async #add(
    batch: NewBatch,
    chunks: AsyncIterable<PackedRows>,
    openMax: number | undefined,
  ): Promise<number> {
    const { ledger, store } = this.#options;
    const { id } = batch;
    let firstRow = 0;
    let index = 0;
    let redisBytes = 0;
    for await (const rows of chunks) {
      if (index === 0) await ledger.create(batch, openMax);
      const count = rowCount(rows.tensors);
      const chunk = { ...rows, firstRow, rowCount: count, refusals: [] };
      const bytes = encodeChunkInput({ batchId: id, index }, chunk);
      const input = await store.place(id, bytes, redisBytes);
      if (input.kind === 'redis') redisBytes += bytes.byteLength;
      await ledger.addChunk(id, { index, firstRow, rowCount: count, refusedCount: 0, input });
      firstRow += count;
      index += 1;
    }
    return firstRow;
  }
}

/** Nothing more of `like`, which may be a record with a state of its own. */
function newBatch(id: string, like: Omit<NewBatch, 'id'>): NewBatch {
  return {
    id,
    owner: like.owner,
    model: like.model,
    version: like.version,
    servedDigest: like.servedDigest,
    pool: like.pool,
    render: like.render,
    webhook: like.webhook,
    retryOf: like.retryOf,
    retentionMs: like.retentionMs,
  };
}
