import type { Redis } from 'ioredis';
import { channels } from '../channels.ts';
import type { CacheEvent, FaultEvent } from '../channels.ts';
import { rowCount } from '../tensors/batch.ts';
import type { NamedTensors } from '../tensors/tensor.ts';
import { CacheBudget } from './cache-budget.ts';
import { decodeEntry, encodeEntry, entryBytes } from './cache-entry.ts';

/** How full Redis is. */
export interface MemoryPressure {
  /** Used memory as a share of what Redis may use, 0 to 1; 0 where it has no bound. */
  pressure(): number;
}

export interface ResponseCacheOptions {
  /** A connection of role `command`; stays the caller's. */
  readonly redis: Redis;
  /** The key in Redis of a canonical key. */
  readonly redisKey: (key: string) => string;
  readonly memory: MemoryPressure;
  readonly entryBytesMax: number;
  /** Of all entries that this process has in Redis. */
  readonly bytesMax: number;
  readonly lookupTimeoutMs: number;
}

/** `bypass`: the cache was not asked, or did not answer in time. */
export type Lookup =
  | { readonly kind: 'hit'; readonly tensors: NamedTensors }
  | { readonly kind: 'miss' }
  | { readonly kind: 'bypass' };

const miss: Lookup = { kind: 'miss' };
const bypass: Lookup = { kind: 'bypass' };

/** How long the cache is left alone after a failure, so that an outage costs one look-up a second. */
const restMs = 1000;
/** Beyond it nothing is inserted any more. Well below the share at which new work is refused: jobs need the room more. */
const insertPressureMax = 0.6;
/** Inserts on their way: while Redis is slow they must not pile up here. 4 MiB are about 10,000 small entries. */
const outstandingBytesMax = 4_194_304;
/** What Redis itself needs for an entry: the key of about 60 bytes, hash-table and expiry entries, headers (measured: 190). */
const redisOverheadBytes = 200;

/** KEYS: entries. ARGV: for each its bytes and its TTL in ms. Returns nothing. */
const insertScript = `
for i = 1, #KEYS do redis.call('SET', KEYS[i], ARGV[2 * i - 1], 'PX', ARGV[2 * i]) end`;

interface WaitingLookup {
  readonly key: string;
  readonly resolve: (found: Lookup) => void;
}

interface WaitingInsert {
  readonly key: string;
  readonly ttlMs: number;
  readonly entry: Buffer;
}

/**
 * Results of single rows in Redis, shared by all API processes. It is never in the way: what fails, is slow, damaged
 * or full makes a miss or a bypass, not an error, and nobody waits for it longer than `lookupTimeoutMs`. Look-ups
 * of one event-loop turn are one MGET; inserts of one turn are one script (a third of the cost of as many SETs).
 */
export class ResponseCache {
  readonly #options: ResponseCacheOptions;
  readonly #budget: CacheBudget;
  #lookups: WaitingLookup[] = [];
  #inserts: WaitingInsert[] = [];
  #flushScheduled = false;
  #restUntilMs = 0;
  #outstandingBytes = 0;

  constructor(options: ResponseCacheOptions) {
    this.#options = options;
    this.#budget = new CacheBudget(options.bytesMax);
  }

  /** Never rejects. */
  lookup(key: string): Promise<Lookup> {
    return new Promise((resolve) => {
      if (!this.#reachable()) {
        publish('bypass', 1);
        resolve(bypass);
        return;
      }
      this.#lookups.push({ key, resolve });
      this.#scheduleFlush();
    });
  }

  /** Keeps the result of one row for `ttlMs`, or does not, if it is large or there is no room. Does not wait. */
  insert(key: string, ttlMs: number, tensors: NamedTensors): void {
    const bytes = entryBytes(tensors);
    if (!this.#hasRoom(bytes, ttlMs)) {
      publish('not_inserted', 1);
      return;
    }
    this.#outstandingBytes += bytes;
    this.#inserts.push({ key, ttlMs, entry: encodeEntry(key, tensors) });
    this.#scheduleFlush();
  }

  #reachable(): boolean {
    return this.#options.redis.status === 'ready' && performance.now() >= this.#restUntilMs;
  }

  #hasRoom(bytes: number, ttlMs: number): boolean {
    const { entryBytesMax, memory } = this.#options;
    return (
      bytes <= entryBytesMax &&
      this.#outstandingBytes + bytes <= outstandingBytesMax &&
      this.#reachable() &&
      memory.pressure() < insertPressureMax &&
      this.#budget.take(bytes + redisOverheadBytes, ttlMs, performance.now())
    );
  }

  /** At the end of the turn, so that all that it brought in goes together. */
  #scheduleFlush(): void {
    if (this.#flushScheduled) return;
    this.#flushScheduled = true;
    setImmediate(this.#flush);
  }

  readonly #flush = (): void => {
    this.#flushScheduled = false;
    if (this.#lookups.length > 0) {
      const lookups = this.#lookups;
      this.#lookups = [];
      this.#sendLookups(lookups);
    }
    if (this.#inserts.length > 0) {
      const inserts = this.#inserts;
      this.#inserts = [];
      this.#sendInserts(inserts);
    }
  };

  #sendLookups(lookups: readonly WaitingLookup[]): void {
    const { redis, redisKey, lookupTimeoutMs } = this.#options;
    let waiting = true;
    const giveUp = (message: string, error?: unknown): void => {
      if (!waiting) return;
      waiting = false;
      clearTimeout(timer);
      this.#rest(message, error);
      publish('bypass', lookups.length);
      for (const { resolve } of lookups) resolve(bypass);
    };
    // A reply that is there already when the loop was busy for that long is read before the verdict.
    const timer = setTimeout(
      () => setImmediate(giveUp, 'A look-up in the cache took too long'),
      lookupTimeoutMs,
    );
    // As a pipeline of its own it leaves at once; the connection's auto-pipelining would hold it for one more turn.
    redis
      .pipeline()
      .mgetBuffer(lookups.map(({ key }) => redisKey(key)))
      .exec()
      .then(
        (results) => {
          const [error, entries] = results?.[0] ?? [];
          if (!Array.isArray(entries)) return giveUp('A look-up in the cache failed', error);
          if (!waiting) return;
          waiting = false;
          clearTimeout(timer);
          answerLookups(lookups, entries as readonly (Buffer | null)[]);
        },
        (error: unknown) => giveUp('A look-up in the cache failed', error),
      );
  }

  #sendInserts(inserts: readonly WaitingInsert[]): void {
    const { redis, redisKey } = this.#options;
    const keys = inserts.map(({ key }) => redisKey(key));
    const values = inserts.flatMap(({ entry, ttlMs }) => [entry, ttlMs]);
    redis
      .eval(insertScript, keys.length, ...keys, ...values)
      .then(
        () => publish('inserted', inserts.length),
        (error: unknown) => {
          publish('not_inserted', inserts.length);
          this.#rest('Entries could not be inserted into the cache', error);
        },
      )
      .finally(() => {
        for (const { entry } of inserts) this.#outstandingBytes -= entry.length;
      });
  }

  #rest(message: string, error?: unknown): void {
    const nowMs = performance.now();
    // One word about it: batches that were on their way fail together.
    if (nowMs >= this.#restUntilMs) fault(message, error);
    this.#restUntilMs = nowMs + restMs;
  }
}

function answerLookups(lookups: readonly WaitingLookup[], entries: readonly (Buffer | null)[]): void {
  let hitCount = 0;
  for (let i = 0; i < lookups.length; i++) {
    const { key, resolve } = lookups[i] as WaitingLookup;
    const found = read(key, entries[i] ?? null);
    if (found.kind === 'hit') hitCount += 1;
    resolve(found);
  }
  if (hitCount > 0) publish('hit', hitCount);
  if (hitCount < lookups.length) publish('miss', lookups.length - hitCount);
}

function read(key: string, entry: Buffer | null): Lookup {
  if (entry === null) return miss;
  try {
    const tensors = decodeEntry(key, entry);
    if (rowCount(tensors) === 1) return { kind: 'hit', tensors };
    fault('A cached entry is not one row');
  } catch (error) {
    fault('A cached entry cannot be read', error);
  }
  return miss;
}

function publish(what: CacheEvent['what'], count: number): void {
  if (channels.cache.hasSubscribers) channels.cache.publish({ what, count } satisfies CacheEvent);
}

function fault(message: string, error?: unknown): void {
  channels.fault.publish({ component: 'response-cache', message, error } satisfies FaultEvent);
}
