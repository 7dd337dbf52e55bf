import type { ChunkResult } from '../../../queues/batch/chunk.ts';

/** Chunks of which the first can be fetched before anybody reads, so that what is wrong is known beforehand. */
export class FirstChunkAhead implements AsyncIterable<ChunkResult> {
  readonly #chunks: AsyncGenerator<ChunkResult>;
  #first: IteratorResult<ChunkResult> | undefined;

  constructor(chunks: AsyncGenerator<ChunkResult>) {
    this.#chunks = chunks;
  }

  /** Throws what fetching throws. */
  async start(): Promise<void> {
    this.#first = await this.#chunks.next();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<ChunkResult> {
    const first = this.#first;
    this.#first = undefined;
    if (first?.done === true) return;
    if (first !== undefined) yield first.value;
    yield* this.#chunks;
  }

  /** Lets go of what the chunks hold, read or not. */
  end(): void {
    void this.#chunks.return(undefined).catch(() => undefined);
  }
}
