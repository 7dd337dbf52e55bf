/**
 * Most that bulk can be owed. Less than one run of it usually takes: whatever it was kept from, it gets one run and not
 * several in a row, for which online would have to wait.
 */
const creditMsMax = 10;
/**
 * Most that bulk can have had too much. With a share of a tenth, online that comes after a quiet time has the hosts for
 * itself for almost a second.
 */
const debtMsMax = 100;

/**
 * Host time by lane: tells when bulk, which otherwise only gets what online leaves, has fallen short of its share. Counted
 * is what online took while bulk waited, and all that bulk took. Pure.
 */
export class LaneShare {
  /** Of bulk for each millisecond of online, so that bulk has its percentage of both. */
  readonly #bulkMsPerOnlineMs: number;
  /** What bulk is owed; below zero, what it had too much. */
  #creditMs = 0;
  /** What the bulk runs that have begun will likely take of it. */
  #pendingMs = 0;

  constructor(bulkPercentMin: number) {
    this.#bulkMsPerOnlineMs = bulkPercentMin / (100 - bulkPercentMin);
  }

  /** Whether bulk goes before online now. */
  get isBulkDue(): boolean {
    return this.#creditMs > this.#pendingMs;
  }

  /** An online run took so long while bulk runs waited. */
  onlineRan(ms: number): void {
    this.#creditMs = Math.min(creditMsMax, this.#creditMs + ms * this.#bulkMsPerOnlineMs);
  }

  /** A bulk run begins. It is counted from now on, so that no second one is due meanwhile. */
  bulkBegan(expectedMs: number): void {
    this.#pendingMs += expectedMs;
  }

  /** It took so long. */
  bulkEnded(expectedMs: number, ms: number): void {
    this.#pendingMs -= expectedMs;
    this.#creditMs = Math.max(-debtMsMax, this.#creditMs - ms);
  }
}
