/** Wire contract of a job, version 1. docs/protocol.md; golden files hold the encoding. */
export const jobSchemaVersion = 1;

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
  readonly lane: Lane;
  /** Result channel of the API process that waits. */
  readonly replyTo: string;
  readonly submittedAtMs: number;
  readonly entries: readonly JobEntry[];
  /** Names of the outputs to return (after post-processing), or null for all that the version's roles need. */
  readonly outputs: readonly string[] | null;
  /** Packed tensors (tensors/binary-codec.ts), by request input name. */
  readonly payload: Uint8Array;
}
