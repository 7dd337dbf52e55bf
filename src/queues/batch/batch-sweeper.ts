import { channels } from '../../channels.ts';
import type { FaultEvent } from '../../channels.ts';
import type { Redis } from 'ioredis';
import type { RedisKeys } from '../lanes.ts';
import type { BatchLedger, BulkLane, ChunkStore } from './batch-ledger.ts';
import type { BulkFeeder } from './bulk-feeder.ts';

export interface BatchSweeperOptions {
  readonly ledger: BatchLedger;
  readonly lane: BulkLane;
  readonly feeder: BulkFeeder;
  readonly chunks: ChunkStore;
  /** A connection of role `command`; stays the caller's. */
  readonly redis: Redis;
  readonly keys: RedisKeys;
  readonly sweepMs: number;
}

/** From a claim to the lane it takes some ms. A chunk that is put there twice is run once more in vain at worst. */
const lostAfterMs = 2_000;
/** Chunks that one pass asks a lane about: 12 owners with the largest sensible window are fewer. */
const askedMax = 1_000;
/** Batches, and artifacts, that are forgotten in a round. */
const forgottenMax = 100;
/** Artifacts that could not be removed, after which a round leaves the others alone: the store is out of reach, most likely. */
const stuckMax = 3;
/** Rounds of a pass: others want Redis and the disk, too, and the next pass is soon. */
const roundsMax = 20;

/**
 * Puts right what crashes leave behind: uploads that broke off, chunks that were claimed and came into no lane, chunks that
 * wait and nobody feeds, batches that have expired. Any number of processes may run one; each pass is made by one of them.
 */
export class BatchSweeper {
  readonly #options: BatchSweeperOptions;
  #timer: NodeJS.Timeout | undefined;
  #pass: Promise<void> = Promise.resolve();
  #stopped = false;

  constructor(options: BatchSweeperOptions) {
    this.#options = options;
  }

  start(): void {
    this.#schedule();
  }

  /** Resolves when the pass that is under way has ended. */
  async stop(): Promise<void> {
    this.#stopped = true;
    clearTimeout(this.#timer);
    await this.#pass;
  }

  /** One pass, whoever made the last one. Never throws: each step that fails is published as a fault. */
  async sweep(): Promise<void> {
    await attempt('abandoned batches', () => this.#failAbandoned());
    await attempt('lost chunks', () => this.#findLost());
    await attempt('expired batches', () => this.#forget());
  }

  #schedule(): void {
    if (this.#stopped) return;
    this.#timer = setTimeout(() => {
      this.#pass = this.#sweepInTurn().finally(() => this.#schedule());
    }, this.#options.sweepMs);
  }

  async #sweepInTurn(): Promise<void> {
    const { redis, keys, sweepMs } = this.#options;
    // Nobody lets it go: it spaces the passes of all processes. Two at once, after a long one, do no harm.
    const heldMs = Math.ceil(0.9 * sweepMs);
    const turn = redis.status === 'ready' ? redis.set(keys.batchSweep, '', 'PX', heldMs, 'NX') : null;
    if ((await Promise.resolve(turn).catch(() => null)) === 'OK') await this.sweep();
  }

  async #failAbandoned(): Promise<void> {
    for (let count = 0; count < roundsMax && !this.#stopped; count++)
      // Round by round: each holds Redis for some milliseconds.
      // oxlint-disable-next-line no-await-in-loop
      if ((await this.#options.ledger.failAbandoned()).length === 0) return;
  }

  async #findLost(): Promise<void> {
    const { ledger, lane, feeder } = this.#options;
    for (const pool of await ledger.pools()) {
      // Pool by pool: a pass is no hurry, and bounded so.
      // oxlint-disable-next-line no-await-in-loop
      const asked = await ledger.lostChunks(pool, lostAfterMs, askedMax);
      if (asked.length > 0) {
        // oxlint-disable-next-line no-await-in-loop
        const missing = await lane.missing(pool, asked);
        // oxlint-disable-next-line no-await-in-loop
        if (missing.length > 0) await lane.add(pool, missing);
        // All of them are in the lane now: the next pass asks about others first.
        // oxlint-disable-next-line no-await-in-loop
        await ledger.reclaimed(asked);
      }
      feeder.feed(pool);
    }
  }

  async #forget(): Promise<void> {
    const { ledger } = this.#options;
    const stuckBatches = new Set<string>();
    for (let count = 0; count < roundsMax && !this.#stopped; count++) {
      // oxlint-disable-next-line no-await-in-loop
      const { batchCount, garbage } = await ledger.forgetExpired(forgottenMax);
      if (batchCount === 0 && garbage === null) return;
      if (garbage === null) continue;
      const { batchId, digests } = garbage;
      // All others had their turn.
      if (stuckBatches.has(batchId)) return;
      // oxlint-disable-next-line no-await-in-loop
      const stuck = await this.#remove(digests);
      // oxlint-disable-next-line no-await-in-loop
      await ledger.removed(batchId, digests, stuck);
      if (stuck.length > 0) stuckBatches.add(batchId);
    }
  }

  /** Returns those that are still there: first what was not tried. */
  async #remove(digests: readonly string[]): Promise<readonly string[]> {
    const stuck: string[] = [];
    const left = [...digests];
    while (left.length > 0 && stuck.length < stuckMax) {
      const digest = left.shift() as string;
      // One by one: nobody waits for it, and others use the disk.
      // oxlint-disable-next-line no-await-in-loop
      await this.#options.chunks.remove(digest).catch((error: unknown) => {
        stuck.push(digest);
        publishFault('An artifact of an expired batch could not be removed', error);
      });
    }
    return [...left, ...stuck];
  }
}

async function attempt(what: string, step: () => Promise<unknown>): Promise<void> {
  try {
    await step();
  } catch (error) {
    publishFault(`The sweeper could not see to ${what}`, error);
  }
}

function publishFault(message: string, error: unknown): void {
  channels.fault.publish({ component: 'batch-sweeper', message, error } satisfies FaultEvent);
}
