import { setTimeout as delay } from 'node:timers/promises';
import { UnreachableError } from './failures.ts';
import { retryDelayMs } from './retry-delay.ts';

const brokenInARowMax = 5;
/** Proxies cut streams after half a minute or so: one that stood for this long was a good one. */
const goodMsMin = 10_000;

/** Streams of which the next one goes on where the one before broke. */
export class Reconnection {
  readonly #what: string;
  readonly #signal: AbortSignal;
  #brokenCount = 0;
  #openedAtMs = 0;

  /** `what` for the message: `The stream of events`. */
  constructor(what: string, signal: AbortSignal) {
    this.#what = what;
    this.#signal = signal;
  }

  opened(): void {
    this.#openedAtMs = performance.now();
  }

  /** The stream gave something new. */
  progressed(): void {
    this.#brokenCount = 0;
  }

  /** Resolves when it is time for the next stream. Throws UnreachableError when several in a row were good for nothing. */
  async afterBreak(): Promise<void> {
    if (performance.now() - this.#openedAtMs >= goodMsMin) this.#brokenCount = 0;
    this.#brokenCount += 1;
    if (this.#brokenCount > brokenInARowMax)
      throw new UnreachableError(`${this.#what} breaks off time and again`);
    await delay(retryDelayMs(this.#brokenCount - 1, null, Math.random()), undefined, {
      signal: this.#signal,
    });
  }
}
