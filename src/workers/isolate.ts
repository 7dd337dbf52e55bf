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
/**
 * Parts of a range that a host died of. A death costs the start of a host and the loading of a version, 0.2 s and
 * more, a run of one row far less: in eighths one killer among 64 rows is found with 3 deaths and 17 runs, in halves
 * with 7 and 13, and its neighbours wait for each of them.
 */
const partsAfterDeath = 8;
/** Three deaths for a killer among 64 rows: room for five of them, and one to spare. */
const deathsMax = 16;

/**
 * Attempts each range; one that fails is halved, one that a host dies of cut into eighths, until the rows that do it
 * stand alone. Only they end with the failure. Past the bounds, what is not yet cut fails as it is.
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
  const mayCut = range.rowCount > 1 && budget.runs > 0 && budget.deaths > 0;
  if (!mayCut || !isOfSomeRow(outcome)) return [{ ...range, outcome }];
  const parts: Part<Value>[] = [];
  // One part after the other: a host that dies must leave no doubt about who did it.
  for (const part of cut(range, outcome.kind === 'host_died' ? partsAfterDeath : 2))
    parts.push(...(await attemptRange(part, attempt, budget)));
  return parts;
}

/** Into so many parts of equal size, the last perhaps smaller; fewer where there are not as many rows. */
function cut({ fromRow, rowCount }: RowRange, count: number): readonly RowRange[] {
  const partRows = Math.ceil(rowCount / count);
  return Array.from({ length: Math.ceil(rowCount / partRows) }, (_, part) => ({
    fromRow: fromRow + part * partRows,
    rowCount: Math.min(partRows, rowCount - part * partRows),
  }));
}

/** Whether single rows may be at fault. What is out of reach or absent is so for all rows alike. */
function isOfSomeRow(outcome: Attempt<unknown>): boolean {
  if (outcome.kind === 'host_died') return true;
  return (
    outcome.kind === 'failed' &&
    (outcome.error.code === 'invalid_input' || outcome.error.code === 'internal_error')
  );
}
