import type { ServiceTime } from './service-time.ts';

/** What is ahead of a request of one version in this process. */
export interface Backlog {
  /** Rows that wait to leave. */
  readonly waitingRows: number;
  /** Jobs that are out, and the rows in them. */
  readonly jobsOut: number;
  readonly rowsOut: number;
  readonly jobsInFlightMax: number;
  /** Rows that the next job takes along. */
  readonly batchRows: number;
}

export interface Patience {
  /** Until the request's deadline. */
  readonly remainingMs: number;
  /** How long it may wait to leave, whatever is at work. */
  readonly queueDelayMsMax: number;
  /** How long it may wait while no more than so many rows of its version are at work. */
  readonly freeDelayMsMax: number;
  readonly rowsFree: number;
}

export interface Shed {
  /** It would be late; or it would be in time, in a queue that stands. */
  readonly reason: 'deadline' | 'queue_delay';
  /** Until what is ahead of it will have left. */
  readonly drainMs: number;
}

/** An estimate is not believed to the millisecond: what is predicted to be just in time is refused. */
const deadlineMargin = 1.5;
/**
 * Whoever arrives while all permits are out waits for jobs to come back, as the coalescer is made to let them: as long
 * as two full jobs take is no sign of overload, but what keeps jobs full.
 */
const servicesFree = 2;

/**
 * Whether a request is refused at once because of what is ahead of it: undefined lets it in. Pure.
 * - Whoever would be in the first job to leave, while none is out, is always let in: that is how the estimate learns
 *   that things are better, so nobody is shut out for good.
 * - So is everybody while nothing is known of the version.
 */
export function shed(
  backlog: Backlog,
  rows: number,
  time: ServiceTime,
  patience: Patience,
): Shed | undefined {
  const { waitingRows, jobsOut, rowsOut, batchRows } = backlog;
  if (!time.known || (jobsOut === 0 && waitingRows < batchRows)) return undefined;
  const { remainingMs, queueDelayMsMax, freeDelayMsMax, rowsFree } = patience;
  const drainMs = timeToLeave(backlog, time);
  const ownMs = time.roundTripMs(Math.min(batchRows, (waitingRows % batchRows) + rows));
  if ((drainMs + ownMs) * deadlineMargin > remainingMs) return { reason: 'deadline', drainMs };
  const isFree = waitingRows + rowsOut + rows <= rowsFree;
  const delayMsMax = Math.max(
    queueDelayMsMax,
    servicesFree * time.servedMs(batchRows),
    isFree ? freeDelayMsMax : 0,
  );
  return drainMs > delayMsMax ? { reason: 'queue_delay', drainMs } : undefined;
}

/**
 * Jobs must come back before it leaves: first those that are out, then full ones. As many are out as there are
 * permits, so that one comes back in each such part of a round trip.
 */
function timeToLeave(backlog: Backlog, time: ServiceTime): number {
  const { waitingRows, jobsOut, rowsOut, jobsInFlightMax, batchRows } = backlog;
  const permits = Math.max(0, jobsInFlightMax - jobsOut);
  const returns = Math.floor(waitingRows / batchRows) + 1 - permits;
  if (returns <= 0) return 0;
  const fromOut = Math.min(returns, jobsOut);
  const roundTripsMs =
    fromOut * time.roundTripMs(rowsOut / Math.max(1, jobsOut)) +
    (returns - fromOut) * time.roundTripMs(batchRows);
  return roundTripsMs / jobsInFlightMax;
}
