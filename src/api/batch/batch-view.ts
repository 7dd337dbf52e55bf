import { isFinal } from '../../queues/batch/batch.ts';
import type { BatchRecord, BatchStatus } from '../../queues/batch/batch.ts';
import { shownError } from '../shown-error.ts';
import type { ShownError } from '../shown-error.ts';

/** What callers see of a batch: in answers, events and webhooks alike. Times are RFC 3339. */
export interface BatchObject {
  readonly id: string;
  readonly status: BatchStatus;
  readonly paused: boolean;
  readonly model_name: string;
  readonly model_version: string;
  readonly counts: {
    /** Null while the upload goes on. */
    readonly total: number | null;
    readonly succeeded: number;
    readonly failed: number;
  };
  /** Share of all rows that are done, 0 to 1; 0 until their number is known: so it never falls. */
  readonly progress: number;
  /** Seconds to the end at the rate so far; null when unknown. */
  readonly eta_seconds: number | null;
  readonly created_at: string;
  readonly started_at: string | null;
  readonly finished_at: string | null;
  readonly expires_at: string | null;
  /** Why the batch as a whole has failed. */
  readonly error: ShownError | null;
  /** The batch whose failed rows this one runs again. */
  readonly retry_of: string | null;
  readonly links: BatchLinks;
}

export interface BatchLinks {
  readonly self: string;
  readonly results: string;
  readonly events: string;
  readonly retry_of?: string;
}

export function batchPath(id: string): string {
  return `/api/v1/batch/${id}`;
}

/** `nowMs` is of the shared clock, as the record's times are; without it there is no `eta_seconds`. */
export function toBatchObject(record: BatchRecord, nowMs: number | null = null): BatchObject {
  const { failure, retryOf } = record;
  const self = batchPath(record.id);
  return {
    id: record.id,
    status: record.status,
    paused: record.paused,
    model_name: record.model,
    model_version: record.version,
    counts: { total: record.rowsTotal, succeeded: record.rowsSucceeded, failed: record.rowsFailed },
    progress: progressOf(record),
    eta_seconds: nowMs === null ? null : etaOf(record, nowMs),
    created_at: instant(record.createdAtMs),
    started_at: instantOrNull(record.startedAtMs),
    finished_at: instantOrNull(record.finishedAtMs),
    expires_at: instantOrNull(record.expiresAtMs),
    error: failure === null ? null : shownError(failure),
    retry_of: retryOf,
    links: {
      self,
      results: `${self}/results`,
      events: `${self}/events`,
      ...(retryOf === null ? {} : { retry_of: batchPath(retryOf) }),
    },
  };
}

function doneRows({ rowsSucceeded, rowsFailed }: BatchRecord): number {
  return rowsSucceeded + rowsFailed;
}

/** To a hundredth of a percent, and 1 for nothing less than all. */
function progressOf(record: BatchRecord): number {
  const { rowsTotal, status } = record;
  if (rowsTotal === null) return 0;
  if (rowsTotal === 0) return status === 'completed' ? 1 : 0;
  return Math.floor((doneRows(record) / rowsTotal) * 10_000) / 10_000;
}

function etaOf(record: BatchRecord, nowMs: number): number | null {
  const { rowsTotal, startedAtMs, paused, status } = record;
  const done = doneRows(record);
  if (isFinal(status) || paused || rowsTotal === null || startedAtMs === null || done === 0) return null;
  const elapsedMs = Math.max(1, nowMs - startedAtMs);
  return Math.ceil(((rowsTotal - done) * elapsedMs) / done / 1000);
}

function instant(ms: number): string {
  return new Date(ms).toISOString();
}

function instantOrNull(ms: number | null): string | null {
  return ms === null ? null : instant(ms);
}
