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

interface KnownCost {
  readonly curve: CostCurve;
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

  /** Most rows of a run of about so long. Undefined while nothing is known. */
  rowsFor(servedDigest: string, targetMs: number): number | undefined {
    return this.#known.get(servedDigest)?.curve.rowsWithin(targetMs);
  }

  /** What a measurement found: it takes the place of what was known. */
  measured(servedDigest: string, points: readonly CurvePoint[]): void {
    if (points.length === 0) return;
    const known: KnownCost = { curve: new CostCurve(points), publishedAtMs: Number.NEGATIVE_INFINITY };
    this.#known.set(servedDigest, known);
    this.#publish(servedDigest, known);
  }

  observe(servedDigest: string, rows: number, runMs: number): void {
    let known = this.#known.get(servedDigest);
    if (known === undefined) {
      known = { curve: new CostCurve(), publishedAtMs: Number.NEGATIVE_INFINITY };
      this.#known.set(servedDigest, known);
    }
    known.curve.observe(rows, runMs);
    this.#publish(servedDigest, known);
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
