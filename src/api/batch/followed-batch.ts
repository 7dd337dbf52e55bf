import type { BatchRecord } from '../../queues/batch/batch.ts';
import type { BatchFeeds } from './batch-feed.ts';

/** What a wait ended with: the batch as it has become, its being gone, nothing for a while, or the wish to stop. */
export type FollowOutcome =
  | { readonly kind: 'changed'; readonly record: BatchRecord }
  | { readonly kind: 'gone' | 'idle' | 'stopped' };

/** A batch that is waited for by one reader at a time. What changes between two waits shows in the next: the newest only. */
export class FollowedBatch {
  readonly #signal: AbortSignal;
  readonly #unfollow: () => void;
  #pending: FollowOutcome | undefined;
  #wake: (() => void) | undefined;

  /** `signal`: the reader has left, or the process is stopping. */
  constructor(feeds: BatchFeeds, id: string, signal: AbortSignal) {
    this.#signal = signal;
    this.#unfollow = feeds.follow(id, (record) => {
      this.#pending = record === undefined ? { kind: 'gone' } : { kind: 'changed', record };
      this.#wake?.();
    });
  }

  /** Until the next change, at most `idleMs`. */
  async next(idleMs: number): Promise<FollowOutcome> {
    if (this.#signal.aborted) return { kind: 'stopped' };
    if (this.#pending === undefined) await this.#woken(idleMs);
    if (this.#signal.aborted) return { kind: 'stopped' };
    const outcome = this.#pending ?? { kind: 'idle' };
    this.#pending = undefined;
    return outcome;
  }

  end(): void {
    this.#unfollow();
  }

  #woken(idleMs: number): Promise<void> {
    return new Promise((resolve) => {
      const wake = (): void => {
        clearTimeout(timer);
        this.#wake = undefined;
        this.#signal.removeEventListener('abort', wake);
        resolve();
      };
      const timer = setTimeout(wake, idleMs);
      this.#wake = wake;
      this.#signal.addEventListener('abort', wake);
    });
  }
}
