import { channels } from '../../channels.ts';
import type { FaultEvent } from '../../channels.ts';
import { CostCurve } from '../../queues/batch/cost-curve.ts';
import type { CurvePoint } from '../../queues/batch/cost-curve.ts';
import type { CostCurves } from '../../queues/batch/cost-curves.ts';

export interface RunCostsOptions {
  readonly curves: Pick<CostCurves, 'publish' | 'suggest'>;
  /** Monotonic milliseconds. */
  readonly nowMs: () => number;
}

/** A curve moves slowly, and it is read only where a batch begins. */
const publishIntervalMs = 10_000;
/**
 * Of a version of which no bulk run was seen: measured were zeros, and rows of another kind may take a thousand times as
 * long. From run to run it may be four times as many.
 */
const firstRunRows = 8;
const growthFactor = 4;

interface KnownCost {
  /** On zeros, as the version was loaded. */
  measured: CostCurve;
  /** What bulk runs took. */
  readonly seen: CostCurve;
  /** Of the greatest bulk run; 0 while there was none. */
  ranRows: number;
  publishedAtMs: number;
}

/**
 * Cost curves of the versions of this worker: measured as they were loaded, then learned from every bulk run, published
 * now and then. Bounded by the versions that are registered.
 */
export class RunCosts {
  readonly #options: RunCostsOptions;
  /** By the digest that is served. */
  readonly #known = new Map<string, KnownCost>();

  constructor(options: RunCostsOptions) {
    this.#options = options;
  }

  /** Most rows of the next bulk run, which should take so long at most. */
  rowsFor(servedDigest: string, targetMs: number): number {
    const known = this.#of(servedDigest);
    const rows = new CostCurve(pointsOf(known)).rowsWithin(targetMs) ?? firstRunRows;
    return Math.min(rows, known.ranRows === 0 ? firstRunRows : growthFactor * known.ranRows);
  }

  measured(servedDigest: string, points: readonly CurvePoint[]): void {
    if (points.length === 0) return;
    this.#of(servedDigest).measured = new CostCurve(points);
    this.#options.curves.suggest(servedDigest, points).catch(publishFault);
  }

  /** A bulk run of the version. */
  observe(servedDigest: string, rows: number, runMs: number): void {
    const known = this.#of(servedDigest);
    known.seen.observe(rows, runMs);
    known.ranRows = Math.max(known.ranRows, rows);
    const nowMs = this.#options.nowMs();
    if (nowMs - known.publishedAtMs < publishIntervalMs) return;
    known.publishedAtMs = nowMs;
    this.#options.curves.publish(servedDigest, pointsOf(known)).catch(publishFault);
  }

  #of(servedDigest: string): KnownCost {
    const known = this.#known.get(servedDigest);
    if (known !== undefined) return known;
    const unknown: KnownCost = {
      measured: new CostCurve(),
      seen: new CostCurve(),
      ranRows: 0,
      publishedAtMs: Number.NEGATIVE_INFINITY,
    };
    this.#known.set(servedDigest, unknown);
    return unknown;
  }
}

/** What was seen; beyond its greatest size what was measured, as much longer as rows take that are no zeros. */
function pointsOf({ measured, seen, ranRows }: KnownCost): readonly CurvePoint[] {
  const seenMs = seen.runMs(ranRows);
  const zerosMs = measured.runMs(ranRows);
  if (seenMs === undefined || zerosMs === undefined) return [...measured.points, ...seen.points];
  const factor = Math.max(1, seenMs / zerosMs);
  const beyond = measured.points
    .filter(([rows]) => rows > ranRows)
    .map(([rows, ms]): CurvePoint => [rows, ms * factor]);
  return [...seen.points, ...beyond];
}

function publishFault(error: unknown): void {
  const message = 'A cost curve was not published';
  channels.fault.publish({ component: 'run-costs', message, error } satisfies FaultEvent);
}
