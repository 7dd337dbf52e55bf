import type { EventLoopUtilization } from 'node:perf_hooks';

export interface SaturationOptions {
  /** As `performance.eventLoopUtilization`. */
  readonly utilization: (now?: EventLoopUtilization, since?: EventLoopUtilization) => EventLoopUtilization;
  /** Requests at work below which nobody is refused. */
  readonly inFlightMin: number;
  /** How long a request may be at work in a process that has no time left. */
  readonly delayMsMax: number;
}

/** Long enough to mean something, short enough that a flood is met within a few turns. */
const windowMs = 50;
/**
 * A burst is better served than refused: a spell of business counts once more were answered in it than come at once, on a
 * slow machine as on a fast one; or once it has lasted for so long that it is none.
 */
const burstCountMax = 1024;
const burstMsMax = 3000;
/** Share of its time for which an event loop can be busy and still meet every arrival at once. */
const busyShare = 0.95;

/**
 * Tells when the process itself is what is short: its event loop has had no pause for a while. Requests then wait in
 * their sockets, where nobody sees them, and the wait grows with every one that is taken. Little's law says how many
 * may be at work for each to be over in time: rate × delay.
 */
export class Saturation {
  readonly #options: SaturationOptions;
  #since: EventLoopUtilization;
  #sinceMs = 0;
  #answered = 0;
  /** Of the spell of business that goes on. */
  #spellAnswered = 0;
  #spellMs = 0;
  #limit = Number.POSITIVE_INFINITY;

  constructor(options: SaturationOptions) {
    this.#options = options;
    this.#since = options.utilization();
  }

  /** Most requests that may be at work now. Asked at each arrival, it measures once in `windowMs`. */
  limit(nowMs: number): number {
    const elapsedMs = nowMs - this.#sinceMs;
    if (elapsedMs >= windowMs) this.#measure(nowMs, elapsedMs);
    return this.#limit;
  }

  /** A request is over. */
  answered(): void {
    this.#answered += 1;
  }

  #measure(nowMs: number, elapsedMs: number): void {
    const { utilization, inFlightMin, delayMsMax } = this.#options;
    const now = utilization();
    const isBusy = utilization(now, this.#since).utilization >= busyShare;
    this.#spellAnswered = isBusy ? this.#spellAnswered + this.#answered : 0;
    this.#spellMs = isBusy ? this.#spellMs + elapsedMs : 0;
    const isBurst = this.#spellAnswered <= burstCountMax && this.#spellMs < burstMsMax;
    const within = (this.#answered / elapsedMs) * delayMsMax;
    this.#limit = isBusy && !isBurst ? Math.max(inFlightMin, within) : Number.POSITIVE_INFINITY;
    this.#since = now;
    this.#sinceMs = nowMs;
    this.#answered = 0;
  }
}
