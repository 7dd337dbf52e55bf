import { MillraceError } from '../../../errors.ts';
import { isFinal } from '../../../queues/batch/batch.ts';
import type { BatchRecord } from '../../../queues/batch/batch.ts';
import type { BatchLedger, ChunkPlace, StoredChunk } from '../../../queues/batch/batch-ledger.ts';
import type { BatchFeeds } from '../batch-feed.ts';
import { FollowedBatch } from '../followed-batch.ts';

export interface FinishedChunksOptions {
  readonly ledger: Pick<BatchLedger, 'chunks'>;
  readonly feeds: BatchFeeds;
  readonly batch: BatchRecord;
  readonly fromIndex: number;
  /** Waits for the first unfinished chunk, until the batch has ended. */
  readonly follow: boolean;
  /** The reader has left, or the process is stopping. */
  readonly signal: AbortSignal;
}

export type FinishedChunk = StoredChunk & { readonly result: ChunkPlace };

/** Entries of the ledger read at once. */
const listedChunkCount = 64;
/** Nothing is lost when a wait ends early: it is begun again. */
const idleMs = 60_000;

/**
 * The chunks of a batch that have results, one after the other, as the ledger shows them: up to the first unfinished
 * one, or all when the batch is followed. Once it has ended, chunks that never ran are passed over.
 */
export class FinishedChunks {
  readonly #options: FinishedChunksOptions;
  /** As it was before `#entries` were read: where it had ended by then, an unfinished chunk stays unfinished. */
  #batch: BatchRecord;
  #followed: FollowedBatch | undefined;
  #entries: readonly StoredChunk[] = [];
  #at = 0;
  #nextIndex: number;

  constructor(options: FinishedChunksOptions) {
    this.#options = options;
    this.#batch = options.batch;
    this.#nextIndex = options.fromIndex;
  }

  /** The next one, if it is known already. */
  listed(): FinishedChunk | undefined {
    const ended = isFinal(this.#batch.status);
    for (;;) {
      const entry = this.#entries[this.#at];
      if (entry === undefined || (entry.result === null && !ended)) return undefined;
      this.#at += 1;
      this.#nextIndex = entry.index + 1;
      if (entry.result !== null) return entry as FinishedChunk;
    }
  }

  /**
   * Undefined at the end of what there is. Throws `service_unavailable` when it is stopped while it waits, `not_found`
   * when the batch is gone by then, and what the ledger throws.
   */
  async next(): Promise<FinishedChunk | undefined> {
    const { ledger, batch, follow } = this.#options;
    for (;;) {
      const known = this.listed();
      if (known !== undefined) return known;
      // One look after the other: each goes on where the one before ended.
      // oxlint-disable-next-line no-await-in-loop
      this.#entries = await ledger.chunks(batch.id, this.#nextIndex, listedChunkCount);
      this.#at = 0;
      const found = this.listed();
      if (found !== undefined) return found;
      if (this.#entries.length === listedChunkCount && this.#at === listedChunkCount) continue;
      if (isFinal(this.#batch.status) || !follow) return undefined;
      // oxlint-disable-next-line no-await-in-loop
      await this.#changed();
    }
  }

  end(): void {
    this.#followed?.end();
  }

  async #changed(): Promise<void> {
    const { feeds, batch, signal } = this.#options;
    this.#followed ??= new FollowedBatch(feeds, batch.id, signal);
    // Looked at before the batch had ended: what was unfinished then need not be so for ever.
    this.#entries = [];
    const outcome = await this.#followed.next(idleMs);
    if (outcome.kind === 'changed') this.#batch = outcome.record;
    if (outcome.kind === 'gone') throw new MillraceError('not_found', 'The batch is there no more');
    if (outcome.kind === 'stopped')
      throw new MillraceError('service_unavailable', 'The answer was broken off');
  }
}
