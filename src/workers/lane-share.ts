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

  constructor(bulkPercentMin: number) {
    this.#bulkMsPerOnlineMs = bulkPercentMin / (100 - bulkPercentMin);
  }

  /** Whether bulk goes before online now. */
  get isBulkDue(): boolean {
    return this.#creditMs > 0;
  }

  /** An online run took so long while bulk runs waited. */
  onlineRan(ms: number): void {
    this.#creditMs = Math.min(creditMsMax, this.#creditMs + ms * this.#bulkMsPerOnlineMs);
  }

  /** A bulk run takes so long. Counted as it begins, so that no second one is due meanwhile. */
  bulkRuns(ms: number): void {
    this.#creditMs = Math.max(-debtMsMax, this.#creditMs - ms);
  }
}
