import { percentOf, renderBar, renderLine } from './progress.ts';
import type { Progress } from './progress.ts';

/** What a progress display writes to; a terminal knows its width, also after it was changed. */
export interface ProgressStream {
  readonly isTTY?: boolean;
  readonly columns?: number;
  write(text: string): unknown;
}

/** Faster than this nobody reads. */
const redrawMs = 100;
/** In a log: a line for each 10 %, none within a second of the beginning or the last, and one after ten all the same. */
const percentStep = 10;
const lineGapMsMin = 1_000;
const lineGapMsMax = 10_000;
const eraseLine = '\r\u001b[2K';
const defaultColumns = 80;

/**
 * Shows how far a long call has come: on a terminal a bar that is drawn over, elsewhere a line now and then. Lines of
 * others go through `note`, so that they do not land within the bar.
 */
export class ProgressDisplay {
  readonly #stream: ProgressStream;
  readonly #now: () => number;
  #shown: Progress | undefined;
  #drawn = false;
  #drawnAtMs: number;
  #step = 0;
  #timer: NodeJS.Timeout | undefined;

  /** `now`: monotonic milliseconds. */
  constructor(stream: ProgressStream, now: () => number = () => performance.now()) {
    this.#stream = stream;
    this.#now = now;
    this.#drawnAtMs = this.#beginning();
  }

  show(progress: Progress): void {
    this.#shown = progress;
    if (this.#stream.isTTY === true) this.#drawSoon();
    else this.#writeLine(progress);
  }

  note(line: string): void {
    this.#erase();
    this.#stream.write(`${line}\n`);
    if (this.#stream.isTTY === true && this.#shown !== undefined) this.#draw();
  }

  /** Removes the bar, and begins anew with the next `show`. */
  clear(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#erase();
    this.#shown = undefined;
    this.#drawnAtMs = this.#beginning();
    this.#step = 0;
  }

  /** A bar is drawn at once; a log has no line of what is over within a second. */
  #beginning(): number {
    return this.#stream.isTTY === true ? -Infinity : this.#now();
  }

  #drawSoon(): void {
    if (this.#timer !== undefined) return;
    const waitMs = this.#drawnAtMs + redrawMs - this.#now();
    if (waitMs <= 0) this.#draw();
    else
      this.#timer = setTimeout(() => {
        this.#timer = undefined;
        this.#draw();
      }, waitMs);
  }

  #draw(): void {
    if (this.#shown === undefined) return;
    // The last column stays free: some terminals begin a new line there.
    const width = (this.#stream.columns ?? defaultColumns) - 1;
    this.#stream.write(`${eraseLine}${renderBar(this.#shown, width)}`);
    this.#drawn = true;
    this.#drawnAtMs = this.#now();
  }

  #erase(): void {
    if (this.#drawn) this.#stream.write(eraseLine);
    this.#drawn = false;
  }

  #writeLine(progress: Progress): void {
    const step = Math.floor((percentOf(progress) ?? 0) / percentStep);
    const sinceMs = this.#now() - this.#drawnAtMs;
    if ((step === this.#step || sinceMs < lineGapMsMin) && sinceMs < lineGapMsMax) return;
    this.#step = step;
    this.#drawnAtMs = this.#now();
    this.#stream.write(`${renderLine(progress)}\n`);
  }
}
