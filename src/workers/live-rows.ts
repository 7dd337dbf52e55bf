import { isExpired } from '../deadline.ts';
import { MillraceError, toErrorRecord } from '../errors.ts';
import type { ErrorRecord } from '../errors.ts';
import type { JobEntry } from '../queues/job.ts';
import type { EntryFailure } from '../queues/result.ts';
import { joinRows, rowCount, selectRows } from '../tensors/batch.ts';
import type { NamedTensors } from '../tensors/tensor.ts';
import { errorOf } from './isolate.ts';
import type { Attempt, Part } from './isolate.ts';

/** A job's entries on their way: those that still have a chance with their rows, those that failed without. */
export interface LiveRows {
  readonly entries: readonly LiveEntry[];
  /** Rows of the live entries, joined in their order. */
  readonly tensors: NamedTensors;
  readonly failures: readonly EntryFailure[];
}

export interface LiveEntry {
  /** Place in the job. */
  readonly entryIndex: number;
  readonly rowCount: number;
  readonly deadlineMs: number;
}

type Verdict = Omit<EntryFailure, 'entryIndex'> | undefined;

/** Throws `internal_error` when the payload has other rows than the entries say. */
export function openRows(entries: readonly JobEntry[], tensors: NamedTensors): LiveRows {
  const live = entries.map(({ rowCount: rows, deadlineMs }, entryIndex) => ({
    entryIndex,
    rowCount: rows,
    deadlineMs,
  }));
  const expected = live.reduce((rows, entry) => rows + entry.rowCount, 0);
  if (rowCount(tensors) !== expected)
    throw new MillraceError('internal_error', `The job has ${rowCount(tensors)} rows for ${expected}`);
  return { entries: live, tensors, failures: [] };
}

/** At a hand-off: what nobody waits for any more is not carried on. */
export function dropExpired(rows: LiveRows, nowMs: number): LiveRows {
  if (!rows.entries.some((entry) => isExpired(entry.deadlineMs, nowMs))) return rows;
  const verdicts = rows.entries.map((entry) =>
    isExpired(entry.deadlineMs, nowMs) ? expiredVerdict() : undefined,
  );
  return divide(rows, verdicts, (kept) => selectRows(rows.tensors, kept));
}

/** Every live entry fails with the same error. */
export function failAll(rows: LiveRows, error: unknown): LiveRows {
  const verdict = { reason: 'failed' as const, error: toErrorRecord(error) };
  return divide(
    rows,
    rows.entries.map(() => verdict),
    () => new Map(),
  );
}

/** From inputs to results: an entry fails with the first of its rows that failed. */
export function takeResults(rows: LiveRows, parts: readonly Part<NamedTensors>[]): LiveRows {
  const rowParts = parts.flatMap((part) => Array.from({ length: part.rowCount }, () => part));
  let fromRow = 0;
  const verdicts = rows.entries.map((entry) => {
    const own = rowParts.slice(fromRow, fromRow + entry.rowCount);
    fromRow += entry.rowCount;
    const failed = own.findIndex(({ outcome }) => outcome.kind !== 'ran');
    const outcome = own[failed]?.outcome;
    return outcome === undefined ? undefined : toVerdict(outcome, entry.rowCount, failed);
  });
  const results = parts.flatMap(({ outcome }) => (outcome.kind === 'ran' ? [outcome.value] : []));
  if (results.length === 0) return divide(rows, verdicts, () => new Map());
  const joined = joinRows(results);
  if (verdicts.every((verdict) => verdict === undefined)) return { ...rows, tensors: joined };
  const places = placesAmongResults(parts);
  return divide(rows, verdicts, (kept) =>
    selectRows(
      joined,
      kept.map((row) => places[row] as number),
    ),
  );
}

/** For each row of the job, where its result lies when only rows that ran have one. */
function placesAmongResults(parts: readonly Part<NamedTensors>[]): readonly number[] {
  let place = 0;
  return parts.flatMap(({ rowCount: rows, outcome }) =>
    Array.from({ length: rows }, () => (outcome.kind === 'ran' ? place++ : -1)),
  );
}

function divide(
  rows: LiveRows,
  verdicts: readonly Verdict[],
  select: (keptRows: readonly number[]) => NamedTensors,
): LiveRows {
  const entries: LiveEntry[] = [];
  const failures = [...rows.failures];
  const keptRows: number[] = [];
  let fromRow = 0;
  for (const [index, entry] of rows.entries.entries()) {
    const verdict = verdicts[index];
    if (verdict === undefined) {
      entries.push(entry);
      for (let row = 0; row < entry.rowCount; row += 1) keptRows.push(fromRow + row);
    } else {
      failures.push({ entryIndex: entry.entryIndex, ...verdict });
    }
    fromRow += entry.rowCount;
  }
  return { entries, failures, tensors: entries.length === 0 ? new Map() : select(keptRows) };
}

function toVerdict(outcome: Attempt<unknown>, entryRows: number, row: number): Verdict {
  switch (outcome.kind) {
    case 'ran':
      return undefined;
    case 'expired':
      return expiredVerdict();
    case 'host_hung':
    case 'host_died':
    case 'failed':
      return { reason: 'failed', error: placeError(errorOf(outcome), entryRows, row) };
  }
}

/** An error of the input's making says which instance it was; the preprocessor may already have said so. */
function placeError(error: MillraceError, entryRows: number, row: number): ErrorRecord {
  const plain = toErrorRecord(error);
  if (error.code !== 'invalid_input' || error.details !== undefined) return plain;
  const path = entryRows === 1 ? 'inputs' : `inputs[${row}]`;
  return {
    ...plain,
    details: [{ path, expected: 'values that the model can run on', found: error.message }],
  };
}

function expiredVerdict(): NonNullable<Verdict> {
  return { reason: 'expired', error: toErrorRecord(new MillraceError('timeout')) };
}
