/** What one job that came back tells. */
export interface SettledJob {
  readonly rows: number;
  /** From its leaving to its result. */
  readonly roundTripMs: number;
  /** Of the round trip: in the lane and for a host, behind other jobs. */
  readonly waitedMs: number;
}

/** Weight of the newest job: after 20 jobs little is left of what was before. */
const weight = 0.1;
/**
 * A wait rises slowly in the estimate, so that one job that a dying worker held up does not count for many, and
 * falls fast, so that no one is refused for a queue that is gone.
 */
const risingWeight = 0.2;
const fallingWeight = 0.5;

/**
 * How long the jobs of one version take, by their rows: `waited + base + slope × rows`, fitted to the jobs that came
 * back, the newest counting most. Pure. The line matters: sixty-four rows of one model take as long as one, of
 * another sixty-four times as long, and both look alike while batches are small.
 */
export class ServiceTime {
  #jobCount = 0;
  #meanRows = 0;
  #meanMs = 0;
  #rowsVariance = 0;
  #covariance = 0;
  #waitedMs = 0;

  /** False until the first job came back: nothing can be said before. */
  get known(): boolean {
    return this.#jobCount > 0;
  }

  observe({ rows, roundTripMs, waitedMs }: SettledJob): void {
    // Two clocks: their error must not make a time negative.
    const servedMs = Math.max(0, roundTripMs - waitedMs);
    this.#jobCount += 1;
    const share = Math.max(weight, 1 / this.#jobCount);
    const rowsOff = rows - this.#meanRows;
    this.#meanRows += share * rowsOff;
    this.#meanMs += share * (servedMs - this.#meanMs);
    this.#rowsVariance += share * (rowsOff * (rows - this.#meanRows) - this.#rowsVariance);
    this.#covariance += share * (rowsOff * (servedMs - this.#meanMs) - this.#covariance);
    const waitedOff = Math.max(0, waitedMs) - this.#waitedMs;
    this.#waitedMs += waitedOff * (waitedOff > 0 ? risingWeight : fallingWeight);
  }

  /** Expected time from the leaving of a job of so many rows to its result; 0 while nothing is known. */
  roundTripMs(rows: number): number {
    return this.#waitedMs + this.servedMs(rows);
  }

  /** Most rows that are served within so long, at least one; unlimited while nothing is known. */
  rowsWithin(servedMs: number): number {
    const slope = this.#slope();
    if (slope === 0) return Number.POSITIVE_INFINITY;
    return Math.max(1, Math.floor(this.#meanRows + (servedMs - this.#meanMs) / slope));
  }

  /** The part of it for which no other job is to blame. */
  servedMs(rows: number): number {
    return Math.max(0, this.#meanMs + this.#slope() * (rows - this.#meanRows));
  }

  /** Never so steep that no rows would take less than no time. 0 while all jobs had the same number of rows. */
  #slope(): number {
    if (this.#rowsVariance < rowsVarianceMin) return 0;
    return Math.min(Math.max(0, this.#covariance / this.#rowsVariance), this.#meanMs / this.#meanRows);
  }
}

/** Less is rounding, not a difference between jobs. */
const rowsVarianceMin = 0.01;
