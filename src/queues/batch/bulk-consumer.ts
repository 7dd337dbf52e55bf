import type { ChunkRef } from './batch.ts';

/** A chunk as a worker gets it. */
export interface TakenChunk {
  readonly ref: ChunkRef;
  /**
   * How often it was started since its last rejection, this time included: a third one means that it may have killed two
   * workers.
   */
  readonly startCount: number;
  /** One more than the rejections before, from 1. */
  readonly attempt: number;
  /** A rejection now takes the chunk out of the lane: what still fails has failed. */
  readonly isLastAttempt: boolean;
  /** Fires when the lock is lost or the chunk was abandoned: another worker has it or will; nothing may be settled. */
  readonly signal: AbortSignal;
}

export type RunChunk = (taken: TakenChunk) => Promise<void>;

/**
 * Port: the worker's side of a pool's bulk lane. `run` is called for each chunk taken, at most `concurrency` at a time.
 * When it resolves, the chunk leaves the lane; when it rejects, it comes again after a pause that grows with each
 * attempt.
 */
export interface BulkConsumer {
  start(run: RunChunk): Promise<void>;
  /** Stops taking; resolves when the chunks in hand have left or `graceMs` has passed. */
  drain(graceMs: number): Promise<'drained' | 'abandoned'>;
  /** What is still in hand is given up: its signal fires, and another worker takes it when its lock has expired. */
  close(): Promise<void>;
}
