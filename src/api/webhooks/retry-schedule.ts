/** Part by which a pause is longer at most: receivers that were down together are not asked together. */
const jitter = 0.1;

/** Pauses between the attempts of a delivery. */
export class RetrySchedule {
  readonly #delaysMs: readonly number[];

  /** Seconds, separated by commas. */
  constructor(delays: string) {
    this.#delaysMs = delays.split(',').map((text) => Number(text) * 1000);
  }

  get attempts(): number {
    return this.#delaysMs.length + 1;
  }

  /**
   * The pause after attempt `attempt` (from 1), or undefined after the last. A receiver may ask for a longer one, not for
   * a shorter one. `random` from 0 to 1.
   */
  delayMs(attempt: number, retryAfterMs: number | null, random: number): number | undefined {
    const delayMs = this.#delaysMs[attempt - 1];
    if (delayMs === undefined) return undefined;
    return Math.round(Math.max(delayMs, retryAfterMs ?? 0) * (1 + jitter * random));
  }
}
