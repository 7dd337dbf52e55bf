import { setTimeout as delay } from 'node:timers/promises';
import { MillraceError } from '../../../errors.ts';
import type { BatchRecord, NewBatch } from '../../../queues/batch/batch.ts';
import type {
  ArrivedChunk,
  BatchLedger,
  ChunkBytes,
  ChunkStore,
} from '../../../queues/batch/batch-ledger.ts';
import { encodeChunkInput, encodeChunkResult } from '../../../queues/batch/chunk.ts';
import type { ChunkInput } from '../../../queues/batch/chunk.ts';

export interface ChunkWriterOptions {
  readonly ledger: Pick<BatchLedger, 'create' | 'addChunk' | 'seal'>;
  readonly store: Pick<ChunkStore, 'place'>;
  /** There are chunks for the lane of this pool. */
  readonly feed: (pool: string) => void;
  readonly batch: NewBatch;
  /** Batches of its owner that have not ended, with this one. */
  readonly openMax: number;
  /** Nothing is written before the end, up to `wholeBytesMax`: what fails until then leaves no batch behind. */
  readonly holdsAll: boolean;
  /** Aborts when the upload has failed. */
  readonly signal: AbortSignal;
}

/** On their way: one that is written while the next is packed, and one that waits. Each is some MiB at most. */
const pendingMax = 2;
/** Rows take some three times their JSON at most, but the reason why one is refused a hundred times as much. */
const wholeBytesMax = 16_777_216;
/** For so long a Redis that is away is waited for; a restart with some GB of append-only file takes less. */
const patienceMs = 10_000;
const retryDelayMs = 200;

interface EncodedChunk {
  readonly chunk: Pick<ArrivedChunk, 'index' | 'firstRow' | 'rowCount' | 'refusedCount'>;
  readonly input: Buffer;
  readonly result: Buffer | null;
}

/** Brings the chunks of one batch into the ledger, in order, while others are packed. Its batch is made with the first. */
export class ChunkWriter {
  readonly #options: ChunkWriterOptions;
  readonly #waiting: EncodedChunk[] = [];
  #heldBytes = 0;
  #index = 0;
  #redisBytes = 0;
  #isCreated = false;
  #running: Promise<void> | undefined;
  /** The next chunk has been written, or let go. */
  #written = Promise.withResolvers<void>();
  #failure: { readonly error: unknown } | undefined;

  constructor(options: ChunkWriterOptions) {
    this.#options = options;
  }

  /** Whether there may be a batch. */
  get isBegun(): boolean {
    return this.#isCreated;
  }

  /** Of chunks that are not written yet. */
  get heldBytes(): number {
    return this.#heldBytes;
  }

  /** When it is, nothing more should be put before `room` has resolved. */
  get isFull(): boolean {
    return !this.#mayHold && this.#waiting.length >= pendingMax;
  }

  /**
   * Encodes the chunk and has it written. Throws what writing an earlier one threw: the ledger's `rate_limit_exceeded`
   * when its owner has too many batches, `conflict` when the batch has become final, `service_unavailable` when it is out
   * of reach for long.
   */
  put(chunk: ChunkInput): void {
    this.#check();
    const encoded = encode({ batchId: this.#options.batch.id, index: this.#index }, chunk);
    this.#index += 1;
    this.#heldBytes += bytesOf(encoded);
    this.#waiting.push(encoded);
    if (!this.#mayHold) this.#start();
  }

  /** Throws as `put` does. */
  async room(): Promise<void> {
    // oxlint-disable-next-line no-await-in-loop
    while (this.isFull && this.#running !== undefined) await this.#written.promise;
    this.#check();
  }

  /** Writes what waits and seals the batch. Throws as `put` does. */
  async end(rowsTotal: number): Promise<BatchRecord> {
    const { ledger, batch } = this.#options;
    this.#start();
    await this.settle();
    this.#check();
    return this.#patiently(() => ledger.seal(batch.id, rowsTotal));
  }

  /** Resolves when nothing is on its way; never rejects. */
  async settle(): Promise<void> {
    await this.#running;
  }

  get #mayHold(): boolean {
    return this.#options.holdsAll && this.#heldBytes <= wholeBytesMax;
  }

  #check(): void {
    if (this.#failure !== undefined) throw this.#failure.error;
  }

  #start(): void {
    this.#running ??= this.#writeAll().finally(() => {
      this.#running = undefined;
    });
  }

  /** One at a time: the ledger takes them in order. Never rejects; after a failure the rest is let go. */
  async #writeAll(): Promise<void> {
    for (let encoded = this.#waiting[0]; encoded !== undefined; encoded = this.#waiting[0]) {
      try {
        // oxlint-disable-next-line no-await-in-loop
        if (this.#failure === undefined) await this.#write(encoded);
      } catch (error) {
        this.#failure = { error };
      }
      this.#waiting.shift();
      this.#heldBytes -= bytesOf(encoded);
      this.#written.resolve();
      this.#written = Promise.withResolvers();
    }
  }

  async #write({ chunk, input, result }: EncodedChunk): Promise<void> {
    const { ledger, batch, feed } = this.#options;
    const { id } = batch;
    if (!this.#isCreated) await this.#begin();
    const before = this.#redisBytes;
    await this.#patiently(async () => {
      this.#redisBytes = before;
      const placed = await this.#place(input);
      const settled = result === null ? {} : { settled: await this.#place(result) };
      await ledger.addChunk(id, { ...chunk, input: placed, ...settled });
    });
    feed(batch.pool);
  }

  /** A failure leaves open whether there is a batch, but for the ledger's refusal to make one. */
  async #begin(): Promise<void> {
    const { ledger, batch, openMax } = this.#options;
    this.#isCreated = true;
    try {
      await this.#patiently(() => ledger.create(batch, openMax));
    } catch (error) {
      this.#isCreated = !(MillraceError.is(error) && error.code === 'rate_limit_exceeded');
      throw error;
    }
  }

  async #place(bytes: Buffer): Promise<ChunkBytes> {
    const { store, batch } = this.#options;
    const placed = await store.place(batch.id, bytes, this.#redisBytes);
    if (placed.kind === 'redis') this.#redisBytes += bytes.byteLength;
    return placed;
  }

  /** All steps may be repeated. */
  async #patiently<T>(step: () => Promise<T>): Promise<T> {
    const { signal } = this.#options;
    const dueMs = performance.now() + patienceMs;
    for (;;) {
      try {
        // One try after the other.
        // oxlint-disable-next-line no-await-in-loop
        return await step();
      } catch (error) {
        const passes = MillraceError.is(error) && error.code === 'service_unavailable';
        if (!passes || signal.aborted || performance.now() > dueMs) throw error;
      }
      // oxlint-disable-next-line no-await-in-loop
      await delay(retryDelayMs, undefined, { signal }).catch(() => undefined);
    }
  }
}

/** A chunk of which every row was refused has its result with it. */
function encode(
  address: { readonly batchId: string; readonly index: number },
  chunk: ChunkInput,
): EncodedChunk {
  const { firstRow, rowCount, ids, lines, refusals, tensors } = chunk;
  const isRefused = refusals.length === rowCount;
  const result = { firstRow, rowCount, ids, lines, failures: refusals, tensors };
  return {
    chunk: { index: address.index, firstRow, rowCount, refusedCount: refusals.length },
    input: encodeChunkInput(address, chunk),
    result: isRefused ? encodeChunkResult(address, result) : null,
  };
}

function bytesOf({ input, result }: EncodedChunk): number {
  return input.byteLength + (result?.byteLength ?? 0);
}
