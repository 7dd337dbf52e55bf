import type { MillraceError } from '../errors.ts';
import type { HostLoss } from './model-host.ts';
import type { RowRange } from './run-plan.ts';

/** What became of one attempt to run a range of rows. */
export type Attempt<Value> =
  | { readonly kind: 'ran'; readonly value: Value }
  | { readonly kind: 'failed'; readonly error: MillraceError }
  | { readonly kind: 'expired' }
  | { readonly kind: HostLoss };

/** A range with its final outcome. The parts of an isolation cover its rows, in order. */
export interface Part<Value> extends RowRange {
  readonly outcome: Attempt<Value>;
}

export interface IsolationOptions {
  /** Ranges that are attempted at the same time. */
  readonly concurrency: number;
}

/** 2 × 64 − 1: finding out that every one of 64 rows (a full run) fails takes 127 runs. */
const runsMax = 128;
/** Singling out one killer among 64 rows costs 1 + log2(64) = 7 hosts: room for two, and two to spare. */
const deathsMax = 16;

/**
 * Attempts each range; one that fails, or that a host dies of, is halved until the rows that do it stand
 * alone. Only they end with the failure. Past the bounds, what is not yet halved fails as it is.
 */
export async function isolate<Value>(
  ranges: readonly RowRange[],
  attempt: (range: RowRange) => Promise<Attempt<Value>>,
  options: IsolationOptions,
): Promise<readonly Part<Value>[]> {
  const budget = { runs: Math.max(runsMax, 2 * ranges.length), deaths: deathsMax };
  const parts: (readonly Part<Value>[])[] = [];
  const queue = ranges.entries();
  const lane = async (): Promise<void> => {
    // All lanes take from one iterator: each range is attempted once.
    for (const [place, range] of queue) parts[place] = await attemptRange(range, attempt, budget);
  };
  await Promise.all(Array.from({ length: Math.min(options.concurrency, ranges.length) }, lane));
  return parts.flat();
}

async function attemptRange<Value>(
  range: RowRange,
  attempt: (range: RowRange) => Promise<Attempt<Value>>,
  budget: { runs: number; deaths: number },
): Promise<readonly Part<Value>[]> {
  budget.runs -= 1;
  const outcome = await attempt(range);
  if (outcome.kind === 'host_died') budget.deaths -= 1;
  const mayHalve = range.rowCount > 1 && budget.runs > 0 && budget.deaths > 0;
  if (!mayHalve || !isOfSomeRow(outcome)) return [{ ...range, outcome }];
  const half = Math.ceil(range.rowCount / 2);
  const head = { fromRow: range.fromRow, rowCount: half };
  const tail = { fromRow: range.fromRow + half, rowCount: range.rowCount - half };
  // One half after the other: a host that dies must leave no doubt about who did it.
  return [...(await attemptRange(head, attempt, budget)), ...(await attemptRange(tail, attempt, budget))];
}

/** Whether single rows may be at fault. What is out of reach or absent is so for all rows alike. */
function isOfSomeRow(outcome: Attempt<unknown>): boolean {
  if (outcome.kind === 'host_died') return true;
  return (
    outcome.kind === 'failed' &&
    (outcome.error.code === 'invalid_input' || outcome.error.code === 'internal_error')
  );
}
