import { setImmediate as turnOver } from 'node:timers/promises';

/** Work at a stretch: below what a waiting predict would notice. */
const stretchMs = 3;
/** The clock is read so often within a stretch. */
const looksPerStretch = 4;
const strideMax = 1024;

/**
 * For loops over many small steps: gives the event loop its turn every few milliseconds, and reads the clock no more
 * often than it must.
 */
export class Pace {
  #stride = 1;
  #left = 1;
  #lookedAtMs = performance.now();
  #begunAtMs = this.#lookedAtMs;

  /** Counts one step; true when it is time for `rest`. */
  isDue(): boolean {
    this.#left -= 1;
    if (this.#left > 0) return false;
    const nowMs = performance.now();
    const stepMs = Math.max(1e-6, nowMs - this.#lookedAtMs) / this.#stride;
    this.#stride =
      Math.max(1, Math.min(strideMax, 2 * this.#stride, stretchMs / looksPerStretch / stepMs)) | 0;
    this.#left = this.#stride;
    this.#lookedAtMs = nowMs;
    return nowMs - this.#begunAtMs >= stretchMs;
  }

  /** Looks at once, after a step that took longer than others. */
  isOverdue(): boolean {
    return performance.now() - this.#begunAtMs >= stretchMs;
  }

  async rest(): Promise<void> {
    await turnOver();
    this.#lookedAtMs = performance.now();
    this.#begunAtMs = this.#lookedAtMs;
    this.#stride = 1;
    this.#left = 1;
  }
}
