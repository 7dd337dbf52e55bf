/**
 * A window that slides in steps: time is cut into panes of a sixtieth, and what counts is what was spent in the
 * running pane, the sixty before it, and one more. Sixty-one would hold a limit in every window by this side's
 * clock; the one more is for the way to the caller, whose answers take now longer, now shorter.
 * What is spent counts for 61 to 62 panes, so that a steady caller gets at least 60 / 62 = 96.7 % of its limit.
 */
export const panesPerWindow = 60;
export const panesCounted = panesPerWindow + 2;

/** The same in memory, for one caller. Panes are numbered by whatever clock the owner keeps; they never go back. */
export class SlidingWindow {
  readonly #spent = new Uint32Array(panesCounted);
  #pane: number;
  #total = 0;

  constructor(pane: number) {
    this.#pane = pane;
  }

  /** Spent in the window that ends with this pane. */
  spent(pane: number): number {
    const from = Math.max(this.#pane, pane - panesCounted);
    for (let each = from + 1; each <= pane; each++) {
      this.#total -= this.#spent[each % panesCounted]!;
      this.#spent[each % panesCounted] = 0;
    }
    this.#pane = pane;
    return this.#total;
  }

  /** `count` may be negative, to take back what was spent in this pane. */
  add(pane: number, count: number): void {
    this.spent(pane);
    this.#spent[pane % panesCounted]! += count;
    this.#total += count;
  }

  /** The pane with which the oldest of what was spent is spent no more; the next one when nothing was. */
  freedIn(pane: number): number {
    this.spent(pane);
    for (let each = pane - panesCounted + 1; each <= pane; each++)
      if (each >= 0 && this.#spent[each % panesCounted]! > 0) return each + panesCounted;
    return pane + 1;
  }
}
