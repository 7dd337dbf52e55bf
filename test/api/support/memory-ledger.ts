import type { Lease, LeaseRequest } from '../../../src/api/rate-ledger.ts';
import { SlidingWindow } from '../../../src/api/sliding-window.ts';

/** Gives out tokens as Redis does, by a clock of the test's, and keeps what it was asked. */
export class MemoryLedger {
  readonly requests: LeaseRequest[] = [];
  nowMs: number;
  readonly paneMs: number;
  /** Asked before each answer: may wait, or throw. */
  before: () => Promise<void> | void = () => {};
  readonly #windows = new Map<string, SlidingWindow>();

  constructor(nowMs: number, paneMs: number) {
    this.nowMs = nowMs;
    this.paneMs = paneMs;
  }

  async lease(request: LeaseRequest): Promise<Lease> {
    this.requests.push(request);
    await this.before();
    const { caller, limit, asked, returned } = request;
    const pane = Math.floor(this.nowMs / this.paneMs);
    const window = this.#windows.get(caller) ?? new SlidingWindow(pane);
    this.#windows.set(caller, window);
    // A pane that has ended is not taken apart here: what comes back is given to the running one.
    if (returned !== null) window.add(pane, -returned.tokens);
    const left = Math.max(0, limit - window.spent(pane));
    const tokens = Math.min(asked, left);
    window.add(pane, tokens);
    return {
      tokens,
      remaining: left - tokens,
      pane,
      paneLeftMs: (pane + 1) * this.paneMs - this.nowMs,
      freedInMs: window.freedIn(pane) * this.paneMs - this.nowMs,
    };
  }
}
