import { channels } from '../../channels.ts';
import type { FaultEvent } from '../../channels.ts';
import type { BatchRecord } from '../../queues/batch/batch.ts';
import type { BatchLedger, BatchWatcher } from '../../queues/batch/batch-ledger.ts';

export interface BatchFeedsOptions {
  readonly ledger: Pick<BatchLedger, 'get'>;
  readonly watcher: Pick<BatchWatcher, 'watch'>;
  /** Least time between two looks at one batch. */
  readonly intervalMs: number;
}

/** Gets the record as it has become; undefined once the batch is there no more. */
export type BatchListener = (record: BatchRecord | undefined) => void;

/**
 * Records of batches as they change, for whoever follows them. However many follow a batch, it is read once, at most
 * every `intervalMs`, and only when the watcher says that it has changed.
 */
export class BatchFeeds {
  readonly #options: BatchFeedsOptions;
  readonly #feeds = new Map<string, BatchFeed>();

  constructor(options: BatchFeedsOptions) {
    this.#options = options;
  }

  /**
   * The listener is called after each change, and once in the beginning: what changed between an earlier look and this
   * call is not missed. Returns the end of it.
   */
  follow(id: string, listener: BatchListener): () => void {
    let feed = this.#feeds.get(id);
    if (feed === undefined) {
      feed = new BatchFeed(id, this.#options);
      this.#feeds.set(id, feed);
    }
    const joined = feed;
    joined.join(listener);
    return () => {
      if (joined.leave(listener)) this.#feeds.delete(id);
    };
  }
}

class BatchFeed {
  readonly #id: string;
  readonly #options: BatchFeedsOptions;
  readonly #listeners = new Set<BatchListener>();
  readonly #unwatch: () => void;
  #timer: NodeJS.Timeout | undefined;
  #reading = false;
  #stale = false;
  #closed = false;

  constructor(id: string, options: BatchFeedsOptions) {
    this.#id = id;
    this.#options = options;
    this.#unwatch = options.watcher.watch(id, () => this.#changed());
  }

  join(listener: BatchListener): void {
    this.#listeners.add(listener);
    this.#changed();
  }

  /** True when nobody is left: the feed has then ended. */
  leave(listener: BatchListener): boolean {
    if (!this.#listeners.delete(listener) || this.#listeners.size > 0) return false;
    this.#closed = true;
    clearTimeout(this.#timer);
    this.#unwatch();
    return true;
  }

  /** Reads at once after a quiet time, else when `intervalMs` have passed since the last look. */
  #changed(): void {
    this.#stale = true;
    if (this.#reading || this.#timer !== undefined || this.#closed) return;
    void this.#read();
  }

  async #read(): Promise<void> {
    this.#reading = true;
    this.#stale = false;
    try {
      const record = await this.#options.ledger.get(this.#id);
      for (const listener of this.#listeners) listener(record);
    } catch (error) {
      // It is looked at again after the interval: the record is the truth, and no change must be missed.
      this.#stale = true;
      const event: FaultEvent = { component: 'batch-feed', message: 'A batch could not be read', error };
      channels.fault.publish(event);
    }
    this.#reading = false;
    if (this.#closed) return;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      if (this.#stale) this.#changed();
    }, this.#options.intervalMs);
  }
}
