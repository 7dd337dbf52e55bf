import { MillraceError } from '../errors.ts';
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
  /** Attempts of parts; that every one of 64 rows (a full run) fails takes 126. */
  readonly partsMax?: number;
  /** Of hosts. */
  readonly deathsMax?: number;
  /** Whether single rows may be at fault, so that a range with this outcome is cut. `mayBeOfSomeRow` by default. */
  readonly isCut?: (outcome: Attempt<unknown>) => boolean;
}

const partsMaxDefault = 128;
/**
 * Parts of a range that a host died of. A death costs the start of a host and the loading of a version, 0.2 s and
 * more, a run of one row far less: in eighths one killer among 64 rows is found with 3 deaths and 17 runs, in halves
 * with 7 and 13, and its neighbours wait for each of them.
 */
const partsAfterDeath = 8;
/** Three deaths for a killer among 64 rows: room for five of them, and one to spare. */
const deathsMaxDefault = 16;

/**
 * Attempts each range; one that fails is halved, one that a host dies of (or hangs in) cut into eighths, until the rows
 * that do it stand alone. Only they end with the failure. Past the bounds, what is not yet cut fails as it is. A range is
 * asked for when it is its turn.
 */
export async function isolate<Value>(
  ranges: Iterable<RowRange>,
  attempt: (range: RowRange) => Promise<Attempt<Value>>,
  options: IsolationOptions,
): Promise<readonly Part<Value>[]> {
  const { concurrency, partsMax = partsMaxDefault, deathsMax = deathsMaxDefault } = options;
  const budget: Budget = { parts: partsMax, deaths: deathsMax, isCut: options.isCut ?? mayBeOfSomeRow };
  const parts: (readonly Part<Value>[])[] = [];
  const queue = ranges[Symbol.iterator]();
  let place = 0;
  const lane = async (): Promise<void> => {
    // All lanes take from one iterator: each range is attempted once.
    for (let next = queue.next(); next.done !== true; next = queue.next()) {
      const own = place++;
      parts[own] = await attemptRange(next.value, attempt, budget);
    }
  };
  await Promise.all(Array.from({ length: concurrency }, lane));
  return parts.flat();
}

/** What is left of the bounds. */
interface Budget {
  parts: number;
  deaths: number;
  readonly isCut: (outcome: Attempt<unknown>) => boolean;
}

async function attemptRange<Value>(
  range: RowRange,
  attempt: (range: RowRange) => Promise<Attempt<Value>>,
  budget: Budget,
): Promise<readonly Part<Value>[]> {
  const outcome = await attempt(range);
  const isLoss = outcome.kind === 'host_died' || outcome.kind === 'host_hung';
  if (isLoss) budget.deaths -= 1;
  const mayCut = range.rowCount > 1 && budget.parts > 0 && budget.deaths > 0;
  if (!mayCut || !budget.isCut(outcome)) return [{ ...range, outcome }];
  const parts: Part<Value>[] = [];
  // One part after the other: a host that dies must leave no doubt about who did it.
  for (const part of cut(range, isLoss ? partsAfterDeath : 2)) {
    budget.parts -= 1;
    parts.push(...(await attemptRange(part, attempt, budget)));
  }
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

/** What an outcome says to the callers of its rows. */
export function errorOf(outcome: Exclude<Attempt<unknown>, { kind: 'ran' }>): MillraceError {
  switch (outcome.kind) {
    case 'failed':
      return outcome.error;
    case 'expired':
      return new MillraceError('timeout');
    case 'host_hung':
      return new MillraceError('timeout', 'The run of the model took too long');
    case 'host_died':
      return new MillraceError('internal_error', 'The model ended its process on this input');
  }
}

/** What is out of reach or absent is so for all rows alike, and a run that hung past its deadline is late for all. */
export function mayBeOfSomeRow(outcome: Attempt<unknown>): boolean {
  if (outcome.kind === 'host_died') return true;
  return (
    outcome.kind === 'failed' &&
    (outcome.error.code === 'invalid_input' || outcome.error.code === 'internal_error')
  );
}
