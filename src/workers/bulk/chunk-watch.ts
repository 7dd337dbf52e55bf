import type { BatchLedger } from '../../queues/batch/batch-ledger.ts';

/** What is asked for so often is stopped within a fraction of the second that a cancellation may take to be felt. */
const askEveryMs = 250;

/** Why no run of a chunk begins any more. */
export type Halt =
  /** The batch has ended, or is forgotten. */
  | { readonly kind: 'unwanted' }
  /** The lock is lost, or the chunk was abandoned. */
  | { readonly kind: 'given_up' }
  /** Another attempt may succeed. */
  | { readonly kind: 'fault'; readonly error: unknown };

/** Watches over a chunk while its rows run, and says when to stop. */
export class ChunkWatch {
  readonly #controller = new AbortController();
  readonly #taken: AbortSignal;
  readonly #timer: NodeJS.Timeout;
  #halt: Halt | undefined;

  /** `taken`: the signal of the chunk that was taken. */
  constructor(ledger: Pick<BatchLedger, 'wanted'>, batchId: string, taken: AbortSignal) {
    this.#taken = taken;
    taken.addEventListener('abort', this.#giveUp);
    if (taken.aborted) this.#giveUp();
    this.#timer = setInterval(() => {
      ledger.wanted(batchId).then(
        (isWanted) => {
          if (!isWanted) this.halt({ kind: 'unwanted' });
        },
        // Out of reach it says nothing of the batch; whether the chunk can be settled shows in the end.
        () => undefined,
      );
    }, askEveryMs);
  }

  /** Fires when no run may begin any more. */
  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** The first reason to stop, if there was any. */
  get halted(): Halt | undefined {
    return this.#halt;
  }

  halt(halt: Halt): void {
    this.#halt ??= halt;
    this.#controller.abort();
  }

  close(): void {
    clearInterval(this.#timer);
    this.#taken.removeEventListener('abort', this.#giveUp);
  }

  readonly #giveUp = (): void => this.halt({ kind: 'given_up' });
}
