import { MillraceError } from '../errors.ts';

/** Wire contract of a job, version 1. docs/protocol.md; golden files hold the encoding. */
export const jobSchemaVersion = 1;

/** 4,096 one-row requests in one job: far above any useful batch, far below what would hurt a worker. */
export const jobEntriesMax = 4096;

/** Jobs go by the online lane; what the bulk lane carries: batch/bullmq-bulk-lane.ts. */
export type Lane = 'online' | 'bulk';

/** One request's part of a job. */
export interface JobEntry {
  readonly requestId: string;
  readonly rowCount: number;
  /** Absolute, milliseconds of the shared (Redis) clock. Past it the entry is not run. */
  readonly deadlineMs: number;
}

/** Entries that run together: the batch tensors hold their rows joined along axis 0 in this order. */
export interface InferenceJob {
  readonly schemaVersion: typeof jobSchemaVersion;
  /** ULID of our own: BullMQ's counter starts again after a FLUSHALL and would reuse ids. */
  readonly id: string;
  readonly model: string;
  readonly version: string;
  readonly servedDigest: string;
  readonly pool: string;
  readonly lane: 'online';
  /** Result channel of the API process that waits. */
  readonly replyTo: string;
  readonly submittedAtMs: number;
  readonly entries: readonly JobEntry[];
  /** Names of the outputs to return (after post-processing), or null for all that the version's roles need. */
  readonly outputs: readonly string[] | null;
  /** Packed tensors (tensors/binary-codec.ts), by request input name. */
  readonly payload: Uint8Array;
}

/**
 * A job as BullMQ stores it: a JSON array, because names of fields would be a third of a small job. The first
 * four places stay what they are in every version to come, so that a worker can refuse a job it cannot read.
 */
export type WireJob = readonly [
  schemaVersion: number,
  id: string,
  replyTo: string,
  entryCount: number,
  model: string,
  version: string,
  servedDigest: string,
  pool: string,
  lane: 'online',
  submittedAtMs: number,
  entries: readonly (readonly [requestId: string, rowCount: number, deadlineMs: number])[],
  outputs: readonly string[] | null,
  /** Base64, or null when the payload lies under its own key. */
  payload: string | null,
];

export type DecodedJob =
  /** `payload` is empty while `payloadApart`. */
  | { readonly kind: 'job'; readonly job: InferenceJob; readonly payloadApart: boolean }
  /** Of another version or broken, but it says who waits for it: answer with `error`. */
  | {
      readonly kind: 'refused';
      readonly id: string;
      readonly replyTo: string;
      readonly entryCount: number;
      readonly error: MillraceError;
    }
  /** Nobody can be told. */
  | { readonly kind: 'unreadable'; readonly error: MillraceError };

export function encodeJob(job: InferenceJob, payloadApart: boolean): WireJob {
  const { payload } = job;
  return [
    job.schemaVersion,
    job.id,
    job.replyTo,
    job.entries.length,
    job.model,
    job.version,
    job.servedDigest,
    job.pool,
    job.lane,
    job.submittedAtMs,
    job.entries.map((entry) => [entry.requestId, entry.rowCount, entry.deadlineMs] as const),
    job.outputs,
    payloadApart
      ? null
      : Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength).toString('base64'),
  ];
}

/** Never throws: what a worker takes from a lane may have been written by any version of Millrace, or by hand. */
export function decodeJob(wire: unknown): DecodedJob {
  if (!Array.isArray(wire)) return unreadable('not an array');
  const [schemaVersion, id, replyTo, entryCount] = wire as readonly unknown[];
  if (!isName(id) || !isName(replyTo) || !isCount(entryCount, jobEntriesMax)) return unreadable('no address');
  const refuse = (why: string): DecodedJob => ({
    kind: 'refused',
    id,
    replyTo,
    entryCount,
    error: new MillraceError('internal_error', `The worker cannot read the job: ${why}`),
  });
  if (schemaVersion !== jobSchemaVersion) return refuse(`schema version ${String(schemaVersion)} is unknown`);
  const place = firstWrongPlace(wire);
  if (place !== undefined) return refuse(`${place} is not valid`);
  return toJob(wire as unknown as WireJob);
}

function toJob(wire: WireJob): DecodedJob {
  const [
    ,
    id,
    replyTo,
    ,
    model,
    version,
    servedDigest,
    pool,
    lane,
    submittedAtMs,
    entries,
    outputs,
    payload,
  ] = wire;
  return {
    kind: 'job',
    payloadApart: payload === null,
    job: {
      schemaVersion: jobSchemaVersion,
      id,
      model,
      version,
      servedDigest,
      pool,
      lane,
      replyTo,
      submittedAtMs,
      entries: entries.map(([requestId, rowCount, deadlineMs]) => ({ requestId, rowCount, deadlineMs })),
      outputs,
      payload: payload === null ? emptyPayload : Buffer.from(payload, 'base64'),
    },
  };
}

const emptyPayload = new Uint8Array(0);

/** By hand: this runs for every job, and each place is one comparison. */
function firstWrongPlace(wire: readonly unknown[]): string | undefined {
  const [, , , entryCount, model, version, digest, pool, lane, submittedAtMs, entries, outputs, payload] =
    wire;
  if (!isName(model)) return 'model';
  if (!isName(version)) return 'version';
  if (!isName(digest)) return 'servedDigest';
  if (!isName(pool)) return 'pool';
  if (lane !== 'online') return 'lane';
  if (!Number.isFinite(submittedAtMs)) return 'submittedAtMs';
  if (!Array.isArray(entries) || entries.length !== entryCount || !entries.every(isEntry)) return 'entries';
  if (outputs !== null && !(Array.isArray(outputs) && outputs.every(isName))) return 'outputs';
  if (payload !== null && typeof payload !== 'string') return 'payload';
  return undefined;
}

function isEntry(entry: unknown): boolean {
  return (
    Array.isArray(entry) &&
    isName(entry[0]) &&
    isCount(entry[1], Number.MAX_SAFE_INTEGER) &&
    entry[1] > 0 &&
    Number.isFinite(entry[2])
  );
}

function isName(value: unknown): value is string {
  return typeof value === 'string' && value.length > 0;
}

function isCount(value: unknown, max: number): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0 && (value as number) <= max;
}

function unreadable(why: string): DecodedJob {
  return {
    kind: 'unreadable',
    error: new MillraceError('internal_error', `The worker cannot read the job: ${why}`),
  };
}
