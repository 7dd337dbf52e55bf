import type { Lease, Unspent } from './rate-ledger.ts';
import { SlidingWindow } from './sliding-window.ts';

/**
 * Share of a limit that one process leases at once. What it holds is out of reach for the others until the pane
 * ends; a fortieth is 2.5 %, and a limit that is used up costs 40 trips a window at most. Limits below 80 are
 * leased token by token.
 */
const lotsPerLimit = 40;
/** For a key of a million a minute: 17 trips a second, and what a killed process takes along stays small. */
const lotMax = 1000;

/**
 * What one caller may still spend, as this process knows it. A lease is spent in memory and ends with its pane;
 * what is left of it then waits to be taken back.
 */
export class Allowance {
  readonly caller: string;
  readonly limit: number;
  readonly lot: number;
  /** The trip that is under way. */
  trip: Promise<void> | undefined;
  /** Requests that wait for it. */
  waiting = 0;

  #tokens = 0;
  #remaining = 0;
  #pane = -1;
  #endsAtMs = -Infinity;
  #freedAtMs = 0;
  #unspent: Unspent | null = null;
  /** While Redis is out of reach. */
  #window: SlidingWindow | undefined;

  constructor(caller: string, limit: number) {
    this.caller = caller;
    this.limit = limit;
    this.lot = Math.min(lotMax, Math.max(1, Math.floor(limit / lotsPerLimit)));
  }

  /** Whether a token was taken; undefined when only Redis knows whether there is one. */
  take(nowMs: number): boolean | undefined {
    if (nowMs >= this.#endsAtMs) return undefined;
    if (this.#tokens > 0) {
      this.#tokens -= 1;
      return true;
    }
    // Others bring back what they leave when the pane has ended, and the window moves on then: so this holds until it does.
    return this.#remaining === 0 ? false : undefined;
  }

  /** For a token that was taken a moment ago and turned out not to be due. */
  giveBack(nowMs: number, localPane: number): void {
    if (this.#window !== undefined) this.#window.add(localPane, -1);
    else if (nowMs < this.#endsAtMs) this.#tokens += 1;
  }

  /** So few left that more should be on their way when they are gone. */
  get runsLow(): boolean {
    return this.#tokens < this.lot / 2 && this.#remaining > 0 && this.trip === undefined;
  }

  /** What a trip asks for: a full lot in hand, and a token for everyone who waits. */
  get wanted(): number {
    return Math.max(this.lot - this.#tokens, this.waiting);
  }

  receive(lease: Lease, sentAtMs: number): void {
    this.#window = undefined;
    if (lease.pane < this.#pane) {
      // It comes after the next one was there: too late to be spent.
      this.#unspent ??= { pane: lease.pane, tokens: lease.tokens };
      return;
    }
    if (lease.pane > this.#pane) this.#retire();
    this.#tokens += lease.tokens;
    this.#pane = lease.pane;
    this.#remaining = lease.remaining;
    // Counted from the sending, which was before Redis looked at its clock: the lease ends here no later than there.
    this.#endsAtMs = sentAtMs + lease.paneLeftMs;
    this.#freedAtMs = sentAtMs + lease.freedInMs;
  }

  /** What goes back to Redis: the caller brings it there. `all` also of the lease that still runs. */
  takeUnspent(nowMs: number, all = false): Unspent | null {
    if (all || nowMs >= this.#endsAtMs) this.#retire();
    const unspent = this.#unspent;
    this.#unspent = null;
    return unspent;
  }

  /** Takes a token of this process's share, by its own clock. What Redis said last is where it begins. */
  takeLocally(share: number, localPane: number): boolean {
    if (this.#window === undefined) {
      this.#window = new SlidingWindow(localPane);
      const spent = this.#pane < 0 ? 0 : this.limit - this.#remaining - this.#tokens;
      this.#window.add(localPane, Math.ceil((spent * share) / this.limit));
    }
    if (this.#window.spent(localPane) >= share) return false;
    this.#window.add(localPane, 1);
    return true;
  }

  /** Nothing that would be missed: no lease, no request that waits, no count of its own. */
  idle(nowMs: number, localPane: number): boolean {
    return (
      nowMs >= this.#endsAtMs &&
      this.trip === undefined &&
      this.waiting === 0 &&
      (this.#window === undefined || this.#window.spent(localPane) === 0)
    );
  }

  /** Tokens left, as far as this process knows. */
  remaining(share: number, localPane: number): number {
    if (this.#window !== undefined) return Math.max(0, share - this.#window.spent(localPane));
    return this.#tokens + this.#remaining;
  }

  /** Milliseconds until there are more. */
  freedInMs(nowMs: number, localPane: number, paneMs: number): number {
    if (this.#window !== undefined) return this.#window.freedIn(localPane) * paneMs - nowMs;
    return this.#freedAtMs - nowMs;
  }

  #retire(): void {
    if (this.#tokens > 0) this.#unspent = { pane: this.#pane, tokens: this.#tokens };
    this.#tokens = 0;
  }
}
