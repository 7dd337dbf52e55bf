/** How long a run of so many rows takes. */
export type CurvePoint = readonly [rows: number, ms: number];

/** Weight of the newest run of a size: after 20 runs little is left of what was before. */
const weight = 0.1;
/** Beyond the greatest size that was measured, a curve is trusted for so many times as many rows. */
const trustedFactor = 4;
/** After so many runs without one of a greater size, that size is forgotten: what made it slow may be long over. */
const staleRuns = 50;

interface SizeClass {
  runCount: number;
  /** By the count of all runs. */
  lastRun: number;
  meanRows: number;
  meanMs: number;
}

/**
 * Cost curve of a version: the time of a run by its rows, from the runs that were seen, the newest counting most. Pure.
 * Runs are gathered by size, each size having twice the rows of the one before; between two sizes the curve is a line.
 */
export class CostCurve {
  /** By the binary logarithm of the rows. */
  readonly #classes = new Map<number, SizeClass>();
  #runCount = 0;

  constructor(points: readonly CurvePoint[] = []) {
    for (const [rows, ms] of points) this.observe(rows, ms);
  }

  observe(rows: number, ms: number): void {
    this.#runCount += 1;
    const key = Math.round(Math.log2(rows));
    for (const [other, { lastRun }] of this.#classes)
      if (other > key && lastRun < this.#runCount - staleRuns) this.#classes.delete(other);
    const known = this.#classes.get(key);
    if (known === undefined) {
      this.#classes.set(key, { runCount: 1, lastRun: this.#runCount, meanRows: rows, meanMs: ms });
      return;
    }
    known.runCount += 1;
    known.lastRun = this.#runCount;
    const share = Math.max(weight, 1 / known.runCount);
    known.meanRows += share * (rows - known.meanRows);
    known.meanMs += share * (ms - known.meanMs);
  }

  /** Ascending in rows and never falling in time: where more rows took less, the run of fewer was disturbed. */
  get points(): readonly CurvePoint[] {
    const classes = [...this.#classes.values()].toSorted((a, b) => b.meanRows - a.meanRows);
    let leastMs = Number.POSITIVE_INFINITY;
    return classes
      .map(({ meanRows, meanMs }): CurvePoint => {
        leastMs = Math.min(leastMs, meanMs);
        return [meanRows, leastMs];
      })
      .toReversed();
  }

  /** Undefined while nothing is known. */
  runMs(rows: number): number | undefined {
    const { points } = this;
    const above = points.find(([pointRows]) => pointRows >= rows);
    if (above === undefined) {
      const last = points.at(-1);
      return last === undefined ? undefined : last[1] + slopeBeyond(points) * (rows - last[0]);
    }
    const below = points.findLast(([pointRows]) => pointRows < rows);
    if (below === undefined) return above[1];
    return below[1] + ((above[1] - below[1]) * (rows - below[0])) / (above[0] - below[0]);
  }

  /** Most rows whose run takes so long at most, at least one. Undefined while nothing is known. */
  rowsWithin(ms: number): number | undefined {
    const { points } = this;
    const last = points.at(-1);
    if (last === undefined) return undefined;
    const next = points.findIndex(([, pointMs]) => pointMs > ms);
    if (next === 0) return downTo(points[0] as CurvePoint, ms);
    if (next === -1) {
      const slope = slopeBeyond(points);
      const rows = slope > 0 ? last[0] + (ms - last[1]) / slope : Number.POSITIVE_INFINITY;
      return Math.floor(Math.min(rows, trustedFactor * last[0]));
    }
    const [fromRows, fromMs] = points[next - 1] as CurvePoint;
    const [toRows, toMs] = points[next] as CurvePoint;
    return Math.floor(fromRows + ((ms - fromMs) * (toRows - fromRows)) / (toMs - fromMs));
  }
}

/** Milliseconds a row: of the last two sizes; with one size, as if a run had no cost of its own. */
function slopeBeyond(points: readonly CurvePoint[]): number {
  const [lastRows, lastMs] = points.at(-1) as CurvePoint;
  const before = points.at(-2);
  return before === undefined ? lastMs / lastRows : (lastMs - before[1]) / (lastRows - before[0]);
}

/** Of a run that takes too long, the part of its rows that would not, if each row took its share. */
function downTo([rows, rowsMs]: CurvePoint, ms: number): number {
  return Math.max(1, Math.floor((rows * ms) / rowsMs));
}
