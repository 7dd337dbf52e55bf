import { channels } from '../../channels.ts';
import type { FaultEvent } from '../../channels.ts';
import type { BatchLedger, BulkLane } from './batch-ledger.ts';
import type { ChunkRef } from './batch.ts';

export interface BulkFeederOptions {
  readonly ledger: BatchLedger;
  readonly lane: BulkLane;
  /** Most chunks of one owner in a pool's lane. */
  readonly window: number;
}

/** Redis is out of reach, most likely: its clients look again within a second. */
const retryMs = 500;

type PoolState = 'feeding' | 'again';

/**
 * Moves chunks from the ledger into the bulk lane while there is room. Whoever makes room or brings chunks says `feed`;
 * that costs nothing while the pool is being fed, which is then done once more.
 */
export class BulkFeeder {
  readonly #options: BulkFeederOptions;
  readonly #pools = new Map<string, PoolState>();
  readonly #timers = new Map<string, NodeJS.Timeout>();
  /** By pool: claimed, and not known to be in the lane. */
  readonly #claimed = new Map<string, readonly ChunkRef[]>();
  readonly #running = new Set<Promise<void>>();
  #closed = false;

  constructor(options: BulkFeederOptions) {
    this.#options = options;
  }

  /** Never throws: what fails is published as a fault and tried again. */
  feed(pool: string): void {
    if (this.#closed) return;
    if (this.#pools.has(pool)) {
      this.#pools.set(pool, 'again');
      return;
    }
    clearTimeout(this.#timers.get(pool));
    this.#timers.delete(pool);
    this.#pools.set(pool, 'feeding');
    const running = this.#run(pool).finally(() => this.#running.delete(running));
    this.#running.add(running);
  }

  /** Resolves when nothing is on its way any more. */
  async close(): Promise<void> {
    this.#closed = true;
    for (const timer of this.#timers.values()) clearTimeout(timer);
    this.#timers.clear();
    await Promise.all(this.#running);
  }

  async #run(pool: string): Promise<void> {
    const { ledger, lane, window } = this.#options;
    try {
      let mayHaveMore = true;
      while (mayHaveMore && !this.#closed) {
        this.#pools.set(pool, 'feeding');
        // One claim after the other: a second one at the same time would find what the first one left.
        // oxlint-disable-next-line no-await-in-loop
        const refs = this.#claimed.get(pool) ?? (await ledger.claim(pool, window));
        // What the lane does not take is offered again; with this process it would be lost, and found by the sweeper.
        this.#claimed.set(pool, refs);
        // oxlint-disable-next-line no-await-in-loop
        if (refs.length > 0) await lane.add(pool, refs);
        this.#claimed.delete(pool);
        mayHaveMore = refs.length > 0 || this.#pools.get(pool) === 'again';
      }
    } catch (error) {
      publishFault(error);
      if (!this.#closed)
        this.#timers.set(
          pool,
          setTimeout(() => this.feed(pool), retryMs),
        );
    }
    this.#pools.delete(pool);
  }
}

function publishFault(error: unknown): void {
  const message = 'Chunks could not be put into the bulk lane';
  channels.fault.publish({ component: 'bulk-feeder', message, error } satisfies FaultEvent);
}
