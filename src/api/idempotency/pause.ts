/** A wait that can be cut short, also before it begins. */
export class Pause {
  readonly #signal: AbortSignal;
  #ended = false;
  #wake: (() => void) | undefined;

  /** Abortion ends every wait. */
  constructor(signal: AbortSignal) {
    this.#signal = signal;
  }

  /** Ends the wait that is on, else the next one before it begins. */
  readonly end = (): void => {
    this.#ended = true;
    this.#wake?.();
  };

  async for(ms: number): Promise<void> {
    if (!this.#ended && !this.#signal.aborted)
      await new Promise<void>((resolve) => {
        const timer = setTimeout(this.end, ms);
        this.#wake = () => {
          clearTimeout(timer);
          resolve();
        };
        this.#signal.addEventListener('abort', this.end, { once: true });
      });
    this.#signal.removeEventListener('abort', this.end);
    this.#ended = false;
    this.#wake = undefined;
  }
}
