import type { ErrorRecord } from '../../errors.ts';
import type { BatchPage, BatchRecord, ChunkRef, NewBatch } from './batch.ts';

/** Where the bytes of a chunk lie: in Redis, under a key of the batch, or in the artifact store under a digest. */
export type ChunkPlace = { readonly kind: 'redis' } | { readonly kind: 'artifact'; readonly digest: string };

/** Bytes on their way into the ledger: those for Redis are written by the same script that registers the chunk. */
export type ChunkBytes =
  | { readonly kind: 'redis'; readonly bytes: Uint8Array }
  | { readonly kind: 'artifact'; readonly digest: string };

export interface ArrivedChunk {
  readonly index: number;
  readonly firstRow: number;
  readonly rowCount: number;
  /** Rows that were refused at the door. With all of them refused there is nothing to run: pass `settled`. */
  readonly refusedCount: number;
  readonly input: ChunkBytes;
  /** The encoded ChunkResult of a chunk of which every row was refused: it is done as it arrives. */
  readonly settled?: ChunkBytes;
}

/** What a worker needs before it runs a chunk. */
export type ChunkWork =
  | {
      readonly kind: 'run';
      readonly batch: BatchRecord;
      readonly input: ChunkPlace;
      readonly rowCount: number;
      /** What the batch has in Redis by now: for ChunkStore.place of the result. */
      readonly redisBytes: number;
    }
  /** Settled already, or its batch is gone, final or paused (then it will be queued again on resume): nothing to do. */
  | { readonly kind: 'nothing'; readonly why: 'done' | 'gone' | 'final' | 'paused' };

export interface ChunkOutcome {
  readonly result: ChunkBytes;
  readonly rowsSucceeded: number;
  /** Refused rows are counted here too: with those that succeeded they are all rows of the chunk. */
  readonly rowsFailed: number;
  /** Of the failed ones. When 0 the input is not needed any more. */
  readonly rowsRetryable: number;
}

export type Settled = 'settled' | 'duplicate' | 'final' | 'gone';

export interface StoredChunk {
  readonly index: number;
  readonly firstRow: number;
  readonly rowCount: number;
  readonly input: ChunkPlace | null;
  /** Null until it is done. */
  readonly result: ChunkPlace | null;
  readonly rowsFailed: number;
  readonly rowsRetryable: number;
}

/** A round of forgetting. */
export interface Forgotten {
  /** Batches that were past their expiry. */
  readonly batchCount: number;
  /** Digests in the artifact store that are nobody's any more, and the batch whose they were. */
  readonly garbage: { readonly batchId: string; readonly digests: readonly string[] } | null;
}

/**
 * Port: the truth about batches. Every change is one atomic step, raises `revision`, and is announced (see
 * BatchWatcher). Each row of a batch gets exactly one result, whatever runs twice: a chunk is settled once, and what
 * comes later is a `duplicate`. Everything it writes expires.
 *
 * All calls throw `service_unavailable` when Redis is out of reach; those that name a batch throw `not_found` where
 * there is none (any more), unless their result says so.
 */
export interface BatchLedger {
  /**
   * Status `queued`, upload open. Repeating it is harmless. Throws `rate_limit_exceeded`, and makes none, when `openMax`
   * batches of its owner have not ended.
   */
  create(batch: NewBatch, openMax?: number): Promise<void>;

  /**
   * A chunk of the upload, in order of its index, one at a time. Keeps the upload's lease. Repeating it is harmless.
   * Throws `service_unavailable` also when Redis was killed and came back without the chunk before; `conflict` when the
   * batch has become final (cancelled, or failed because its lease ran out): the upload should end.
   */
  addChunk(id: string, chunk: ArrivedChunk): Promise<void>;
  /** Keeps the lease of an upload that is slow. Throws as addChunk does. */
  touch(id: string): Promise<void>;
  /**
   * The upload is complete. From now on the batch ends when its last chunk is settled; with no chunk at once. Who promises
   * the batch to a caller waits until this is `durable` first.
   */
  seal(id: string, rowsTotal: number): Promise<BatchRecord>;
  /**
   * When this resolves, the batch as it was acknowledged survives a kill -9 of Redis. (An append-only file with
   * `everysec` holds writes back in the process while the disk is busy.) Throws `service_unavailable` when Redis died in
   * between and came back without it. Where Redis keeps no file: at once.
   */
  durable(acknowledged: Pick<BatchRecord, 'id' | 'revision' | 'rowsTotal'>): Promise<void>;

  get(id: string): Promise<BatchRecord | undefined>;
  /** True when there was such a batch and it has expired: its name is kept for a while longer than its results. */
  hasExpired(id: string): Promise<boolean>;
  /** Newest first; `owner` null for all owners. `after`: the `next` of the page before. At most 100. */
  list(owner: string | null, after: string | null, limit: number): Promise<BatchPage>;
  /** Batches of an owner that have not ended. */
  openCount(owner: string): Promise<number>;
  /** Of consecutive chunks from `from` on, at most `limit`; ends early where chunks have not arrived yet. */
  chunks(id: string, from: number, limit: number): Promise<readonly StoredChunk[]>;
  /** Index of the chunk that holds a row, of those that have arrived. */
  chunkOfRow(id: string, row: number): Promise<number | undefined>;

  /** To `cancelled`, from any state that is not final; otherwise the record as it is. */
  cancel(id: string): Promise<BatchRecord>;
  /** To `failed` with a reason, likewise. */
  fail(id: string, failure: ErrorRecord): Promise<BatchRecord>;
  /** Throws `conflict` for a batch that has ended. */
  pause(id: string): Promise<BatchRecord>;
  resume(id: string): Promise<BatchRecord>;

  /**
   * Takes chunks that wait for a place in the pool's bulk lane, as many as its window has room, and marks them as in the
   * lane: owners take turns, so do the batches of one owner, and each owner has at most `window` chunks in the lane for each
   * worker that lives.
   * Who calls must add them to the lane; what is lost between is found by `lostChunks`.
   */
  claim(pool: string, window: number): Promise<readonly ChunkRef[]>;
  /** Chunks marked as in the lane (or claimed) for longer than `olderThanMs`: the sweeper asks the lane about them. */
  lostChunks(pool: string, olderThanMs: number, limit: number): Promise<readonly ChunkRef[]>;
  /** Marks them anew, after the sweeper put them back into the lane. */
  reclaimed(refs: readonly ChunkRef[]): Promise<void>;
  /** Pools that have batches which are not final. */
  pools(): Promise<readonly string[]>;
  /** Fails batches whose upload's lease has run out. Returns their ids. */
  failAbandoned(): Promise<readonly string[]>;
  /**
   * Ends and expires a batch whose upload broke off before anybody was told of it: no list shows it, nobody hears of its
   * end. Nothing when its upload is complete, or when it is gone.
   */
  discard(id: string): Promise<void>;
  /**
   * Forgets batches past their expiry, at most `limit`. At most as many digests of one batch are garbage, in each round of
   * another one, until they are said to be `removed`: none is left behind when the process ends in between.
   */
  forgetExpired(limit: number): Promise<Forgotten>;
  /** `stuck`: those of them that are still there. They come again, after all others. */
  removed(batchId: string, digests: readonly string[], stuck: readonly string[]): Promise<void>;

  /** For the worker that took a chunk. The first begun chunk takes the batch to `running`. */
  begin(ref: ChunkRef): Promise<ChunkWork>;
  /** Whether the batch still wants its chunks run, paused or not: asked between the runs of one chunk. */
  wanted(id: string): Promise<boolean>;
  settle(ref: ChunkRef, outcome: ChunkOutcome): Promise<Settled>;

  /** Ended batches whose ending was not yet handed on (webhook, events), oldest first; they stay until acknowledged. */
  endings(limit: number): Promise<readonly string[]>;
  acknowledgeEnding(id: string): Promise<void>;
}

/** Bytes of chunks, wherever they lie. */
export interface ChunkStore {
  /**
   * Says where the bytes of a chunk go: to Redis while the batch has less than its allowance there, else to the artifact
   * store, where they are put at once.
   */
  place(id: string, bytes: Uint8Array, redisBytesSoFar: number): Promise<ChunkBytes>;
  /** Undefined when the bytes are gone. */
  readInput(ref: ChunkRef, place: ChunkPlace): Promise<Uint8Array | undefined>;
  readResult(ref: ChunkRef, place: ChunkPlace): Promise<Uint8Array | undefined>;
  /** Of what lies in the artifact store. */
  remove(digest: string): Promise<void>;
}

/** Tells this process of changes of batches. */
export interface BatchWatcher {
  /**
   * `onChange` gets the newest revision that is known, after each change, and also after a reconnect (changes may have
   * been missed: read the record). Returns the end of it.
   */
  watch(id: string, onChange: () => void): () => void;
  /** Some batch has ended. */
  onEnding(listener: () => void): () => void;
}

/** The bulk lane of each pool: chunk names only, the bytes stay where the ledger says. */
export interface BulkLane {
  /** Idempotent by name: a chunk that is in the lane already stays where it is. */
  add(pool: string, refs: readonly ChunkRef[]): Promise<void>;
  /** Those that are not in the lane, not waiting, not delayed and not with a worker. */
  missing(pool: string, refs: readonly ChunkRef[]): Promise<readonly ChunkRef[]>;
}

/** A row (or several neighbours) that all attempts failed on, kept with its input so that it can be run again. */
export interface DeadLetter {
  readonly id: string;
  readonly batchId: string;
  readonly owner: string;
  readonly model: string;
  readonly version: string;
  readonly servedDigest: string;
  readonly pool: string;
  readonly render: NewBatch['render'];
  /** Of the batch, from 0. */
  readonly row: number;
  readonly rowId: string | null;
  readonly line: number | null;
  readonly error: ErrorRecord;
  /** SHA-256 of the packed row. */
  readonly inputDigest: string;
  readonly attempts: number;
  readonly atMs: number;
}

export interface DeadLetters {
  /** `input`: the packed row (tensors/binary-codec.ts). Idempotent by batch and row. Beyond a bound the oldest go. */
  add(letters: readonly (DeadLetter & { readonly input: Uint8Array })[]): Promise<void>;
  list(
    after: string | null,
    limit: number,
  ): Promise<{ readonly letters: readonly DeadLetter[]; readonly next: string | null }>;
  /** With its input; undefined where there is none. */
  take(id: string): Promise<(DeadLetter & { readonly input: Uint8Array }) | undefined>;
  remove(ids: readonly string[]): Promise<void>;
  count(): Promise<number>;
}
