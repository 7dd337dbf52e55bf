import { channels } from '../../channels.ts';
import type { FaultEvent } from '../../channels.ts';
import { CostCurve } from '../../queues/batch/cost-curve.ts';
import type { CurvePoint } from '../../queues/batch/cost-curve.ts';
import type { ModelVersion } from '../../registry/model-version.ts';
import { encodedBytes } from '../../tensors/binary-codec.ts';
import type { HostPool } from '../host-pool.ts';
import { zeroInputs } from '../model-pool.ts';
import type { ModelPool } from '../model-pool.ts';
import { runRowsMax } from '../run-plan.ts';
import type { RunCosts } from './run-costs.ts';

export interface CurveMeterOptions {
  readonly hosts: Pick<HostPool, 'run'>;
  readonly models: Pick<ModelPool, 'acquire' | 'holds'>;
  readonly costs: Pick<RunCosts, 'measured'>;
  /** What bulk runs are cut for. */
  readonly runMsTarget: number;
  /** Most rows in one run of a version whose manifest does not say. */
  readonly runRowsMax: number;
  /** The shared clock. */
  readonly nowMs: () => number;
  /** Ends the measuring with the process. */
  readonly stopping: AbortSignal;
}

/** Each eight times (then four times) the one before: the curve is a line between them. */
const sizes = [1, 8, 64, 256, 1024, 4096, 16_384] as const;
/** Of one version, in runs. They have the priority of bulk, so that they hold up predictions for one run at most. */
const budgetMs = 200;
/** The first of a size takes memory that the next ones have. */
const runsPerSize = 2;
/** Larger inputs are no size that a run for the target has. */
const inputBytesMax = 8 * 1024 * 1024;
/** A version that finds no host for so long is left to its first chunk. */
const waitMsMax = 30_000;

/**
 * Measures how long runs of a version take at several sizes, on zeros, once it is loaded and serves. One version after
 * the other. What is not measured, because it would take too long or fails, is found out by the runs of batches.
 */
export class CurveMeter {
  readonly #options: CurveMeterOptions;
  #measuring: Promise<void> = Promise.resolve();

  constructor(options: CurveMeterOptions) {
    this.#options = options;
  }

  /** Never rejects; resolves when this version and those before it are measured. */
  measure(version: ModelVersion): Promise<void> {
    this.#measuring = this.#measuring.then(() => this.#measureNow(version));
    return this.#measuring;
  }

  async #measureNow(version: ModelVersion): Promise<void> {
    const { models, costs, stopping } = this.#options;
    // Unloaded before its turn: loading it would unload another, whose turn comes then, and so on in a circle.
    if (stopping.aborted || !models.holds(version)) return;
    try {
      const lease = await models.acquire(version);
      try {
        costs.measured(version.servedDigest, await this.#points(version, lease.key));
      } finally {
        lease.release();
      }
    } catch (error) {
      const message = `The runs of ${version.model}/${version.version} were not measured`;
      channels.fault.publish({ component: 'curve-meter', message, error } satisfies FaultEvent);
    }
  }

  async #points(version: ModelVersion, key: string): Promise<readonly CurvePoint[]> {
    const { batch } = version.signature;
    if (batch.kind !== 'dynamic') return this.#pointsOfFixed(version, key);
    const rowsMax = this.#rowsMax(version);
    const points: CurvePoint[] = [];
    let spentMs = 0;
    for (const rows of [...sizes.filter((size) => size < rowsMax), rowsMax]) {
      const expectedMs = new CostCurve(points).runMs(rows) ?? 0;
      if (expectedMs > 2 * this.#options.runMsTarget || spentMs + expectedMs * runsPerSize > budgetMs) break;
      const ms = await this.#leastMs(version, key, rows);
      if (ms === undefined) break;
      points.push([rows, ms]);
      spentMs += ms * runsPerSize;
    }
    return points;
  }

  /** Runs of a fixed size come one after the other: twice the rows, twice the time. */
  async #pointsOfFixed(version: ModelVersion, key: string): Promise<readonly CurvePoint[]> {
    const { batch } = version.signature;
    const rows = batch.kind === 'fixed' ? batch.size : 1;
    const ms = await this.#leastMs(version, key, rows);
    if (ms === undefined) return [];
    const more = this.#options.runRowsMax;
    return more <= rows
      ? [[rows, ms]]
      : [
          [rows, ms],
          [more, (ms * more) / rows],
        ];
  }

  #rowsMax(version: ModelVersion): number {
    const rowBytes = encodedBytes(zeroInputs(version.signature, 1));
    const rowsMax = Math.min(this.#options.runRowsMax, Math.floor(inputBytesMax / rowBytes));
    return Math.max(1, runRowsMax(version.manifest, rowsMax, rowBytes));
  }

  /** Undefined when a run fails or finds no host. */
  async #leastMs({ signature }: ModelVersion, key: string, rows: number): Promise<number | undefined> {
    const { hosts, nowMs, stopping } = this.#options;
    const tensors = zeroInputs(signature, rows);
    let leastMs: number | undefined;
    for (let run = 0; run < runsPerSize; run += 1) {
      const deadlineMs = nowMs() + waitMsMax;
      // One after the other: they would only wait for each other, and predictions for both.
      const outcome = await hosts.run({
        key,
        lane: 'bulk',
        outputs: null,
        tensors,
        deadlineMs,
        signal: stopping,
      });
      if (outcome.kind !== 'ran') return undefined;
      leastMs = Math.min(leastMs ?? Number.POSITIVE_INFINITY, outcome.runMs);
    }
    return leastMs;
  }
}
