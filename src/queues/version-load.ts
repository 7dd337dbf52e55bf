import type { ModelVersion } from '../registry/model-version.ts';
import type { Signature } from '../registry/signature.ts';
import { isFixed } from '../tensors/shape.ts';
import type { BatchBounds } from './batch-former.ts';
import { jobEntriesMax } from './job.ts';
import type { InferenceResult } from './result.ts';
import { ServiceTime } from './service-time.ts';

export interface VersionLimits {
  readonly batchRowsMax: number;
  readonly batchBytesMax: number;
  /** Deadline of most requests, where the manifest does not name another. */
  readonly timeoutMs: number;
}

/** Part of the deadline that one job may take, or larger batches would be computed for callers who have left. */
const serviceShare = 1 / 8;
/**
 * A batch grows while its run takes no longer than four of one row, or this, since what runs take that are shorter does
 * not matter. Of a model whose rows take the time, a larger one would gain at most a third, and all in it wait for the
 * last; of one that takes as long for many as for one, it is as large as it may be.
 */
const runMsFree = 25;
const singleRunsMax = 4;

/** What the coalescer knows of a version: its bounds, and how long its jobs take. */
export class VersionLoad {
  readonly key: string;
  /** Of whole jobs. */
  readonly time = new ServiceTime();
  /** Of their runs alone. */
  readonly #runTime = new ServiceTime();
  readonly #bounds: BatchBounds;
  readonly #serviceMsMax: number;
  #cameBack = false;

  constructor(version: ModelVersion, limits: VersionLimits) {
    const { batching, timeout_ms: timeoutMs = limits.timeoutMs } = version.manifest;
    const { batchRowsMax, batchBytesMax } = limits;
    const { max_batch_size: rowsMax = batchRowsMax, max_batch_bytes: bytesMax = batchBytesMax } =
      batching ?? {};
    this.key = `${version.model}/${version.version}`;
    this.#serviceMsMax = timeoutMs * serviceShare;
    this.#bounds = {
      rowsMax: Math.min(batchRowsMax, rowsMax, rowsOfOneShape(version.signature), jobEntriesMax),
      bytesMax: Math.min(batchBytesMax, bytesMax),
    };
  }

  /** Of the next job. */
  get bounds(): BatchBounds {
    const runMsMax = Math.max(runMsFree, singleRunsMax * this.#runTime.servedMs(1));
    const rowsMax = Math.min(
      this.#bounds.rowsMax,
      this.time.rowsWithin(this.#serviceMsMax),
      this.#runTime.rowsWithin(runMsMax),
    );
    return rowsMax === this.#bounds.rowsMax ? this.#bounds : { rowsMax, bytesMax: this.#bounds.bytesMax };
  }

  /** Whether what leaves now may have to wait until the version is loaded, which says nothing about others. */
  get isCold(): boolean {
    return !this.#cameBack;
  }

  /** `cold`: as `isCold` was when the job left. */
  settled(rows: number, roundTripMs: number, { timings, failures }: InferenceResult, cold: boolean): void {
    this.#cameBack = true;
    // Of rows that were refused, or failed and were run again one by one, it says nothing.
    if (cold || timings.runMs === 0 || failures.some(({ reason }) => reason === 'failed')) return;
    this.time.observe({ rows, roundTripMs, waitedMs: timings.queueMs + timings.waitMs });
    this.#runTime.observe({ rows, roundTripMs: timings.runMs, waitedMs: 0 });
  }

  /**
   * It was given up after so long. Who learned from those alone that came back in time would take every job for one
   * that does. Given up before it could be back, it says nothing.
   */
  lost(rows: number, elapsedMs: number, cold: boolean): void {
    if (cold || elapsedMs <= this.time.roundTripMs(rows)) return;
    this.time.observe({ rows, roundTripMs: elapsedMs, waitedMs: 0 });
  }
}

/**
 * Most rows whose answers surely have one shape, so that one result can hold them: where a model leaves the shape of
 * its outputs open, those of one run. Otherwise a neighbour's answer could make the whole job fail.
 */
function rowsOfOneShape({ outputs, batch }: Signature): number {
  if (batch.kind === 'dynamic') return Number.POSITIVE_INFINITY;
  const firstAxis = batch.kind === 'none' ? 0 : 1;
  if (outputs.every(({ shape }) => isFixed(shape.slice(firstAxis)))) return Number.POSITIVE_INFINITY;
  return batch.kind === 'none' ? 1 : batch.size;
}
