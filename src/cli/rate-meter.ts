/** Long enough to be steady while chunks of thousands of rows arrive, short enough to show a pause. */
const windowMs = 5_000;
/** A shorter span says too little. */
const spanMsMin = 400;
/** Samples closer than this to the last one replace it, so that the window stays short. */
const samplesGapMs = 100;

/** The rate of a counter that only grows, over the last five seconds. Takes the instant as an argument. */
export class RateMeter {
  #samples: { atMs: number; value: number }[] = [];

  add(value: number, atMs: number): void {
    const last = this.#samples.at(-1);
    if (this.#samples.length > 1 && last !== undefined && atMs - last.atMs < samplesGapMs)
      this.#samples.pop();
    this.#samples.push({ atMs, value });
    // The newest sample that is out of the window is its beginning.
    while (this.#samples.length > 2 && (this.#samples[1]?.atMs ?? atMs) <= atMs - windowMs)
      this.#samples.shift();
  }

  /** Null while the samples span too little time. */
  perSecond(): number | null {
    const [first] = this.#samples;
    const last = this.#samples.at(-1);
    if (first === undefined || last === undefined || last.atMs - first.atMs < spanMsMin) return null;
    return ((last.value - first.value) * 1000) / (last.atMs - first.atMs);
  }
}
