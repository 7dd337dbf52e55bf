import { channels } from '../../channels.ts';
import type { FaultEvent } from '../../channels.ts';
import { CostCurve } from '../../queues/batch/cost-curve.ts';
import type { CurvePoint } from '../../queues/batch/cost-curve.ts';
import type { CostCurves } from '../../queues/batch/cost-curves.ts';

export interface RunCostsOptions {
  readonly curves: CostCurves;
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
  readonly curve: CostCurve;
  /** Of the greatest bulk run; 0 while there was none. */
  ranRows: number;
  publishedAtMs: number;
}

/**
 * Cost curves of the versions that this worker ran: measured as they were loaded, refined by every bulk run, published
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
    const known = this.#known.get(servedDigest);
    const rows = known?.curve.rowsWithin(targetMs);
    if (known === undefined || rows === undefined) return firstRunRows;
    return Math.min(rows, known.ranRows === 0 ? firstRunRows : growthFactor * known.ranRows);
  }

  /** What a measurement found: it takes the place of what was known. */
  measured(servedDigest: string, points: readonly CurvePoint[]): void {
    if (points.length === 0) return;
    this.#publish(servedDigest, this.#learn(servedDigest, new CostCurve(points)));
  }

  /** A bulk run of the version. */
  observe(servedDigest: string, rows: number, runMs: number): void {
    const known = this.#known.get(servedDigest) ?? this.#learn(servedDigest, new CostCurve());
    known.curve.observe(rows, runMs);
    known.ranRows = Math.max(known.ranRows, rows);
    this.#publish(servedDigest, known);
  }

  #learn(servedDigest: string, curve: CostCurve): KnownCost {
    const known = { curve, ranRows: 0, publishedAtMs: Number.NEGATIVE_INFINITY };
    this.#known.set(servedDigest, known);
    return known;
  }

  #publish(servedDigest: string, known: KnownCost): void {
    const nowMs = this.#options.nowMs();
    if (nowMs - known.publishedAtMs < publishIntervalMs) return;
    known.publishedAtMs = nowMs;
    this.#options.curves.publish(servedDigest, known.curve.points).catch((error: unknown) => {
      const message = 'A cost curve was not published';
      channels.fault.publish({ component: 'run-costs', message, error } satisfies FaultEvent);
    });
  }
}
