import { channel } from 'node:diagnostics_channel';

/**
 * The seam to telemetry: the core publishes, telemetry/ and tests subscribe. Each name has one event type.
 * Publishing with no subscriber costs a property read.
 */
export const channels = {
  request: channel('millrace.request'),
  job: channel('millrace.job'),
  drop: channel('millrace.drop'),
  run: channel('millrace.run'),
  chunk: channel('millrace.chunk'),
  host: channel('millrace.host'),
  cache: channel('millrace.cache'),
  versionFault: channel('millrace.version_fault'),
  limit: channel('millrace.limit'),
  idempotency: channel('millrace.idempotency'),
  webhook: channel('millrace.webhook'),
  stream: channel('millrace.stream'),
  fault: channel('millrace.fault'),
  notice: channel('millrace.notice'),
} as const;

/** An HTTP request was answered (or its client left: status 499). */
export interface RequestEvent {
  readonly requestId: string;
  readonly method: string;
  /** The route's template, as in `/api/v1/models/{model}`; `unmatched` where none fits. Bounded: safe as a label. */
  readonly route: string;
  readonly status: number;
  readonly durationMs: number;
  readonly principal: string | null;
  readonly model: string | null;
  readonly version: string | null;
  readonly errorCode: string | null;
  /** Message and stack of what lies behind a 5xx: for the log only. */
  readonly cause: unknown;
  readonly timings: RequestTimings | null;
  /** What the cache did for a prediction; null for everything else, and for errors. */
  readonly cache: CacheOutcome | null;
  /** W3C trace id, when the request has one. */
  readonly traceId?: string;
}

/** Answered from the cache; looked up (or meant to be renewed) and computed; or the cache was left out. */
export type CacheOutcome = 'hit' | 'miss' | 'bypass';

/** API side: what happened in the cache and before it, `count` times. */
export interface CacheEvent {
  /** The outcomes are those of look-ups; `joined` had none of its own, but waited for an equal request's. */
  readonly what: CacheOutcome | 'joined' | 'inserted' | 'not_inserted';
  readonly count: number;
}

export interface RequestTimings {
  readonly batchWaitMs: number;
  readonly queueMs: number;
  readonly runMs: number;
  readonly totalMs: number;
}

/**
 * API side: a coalesced job left or came back. Each `submitted` is followed by exactly one `settled` (its result
 * came) or `lost` (nobody waits any more); a result that comes after `lost` is `late`.
 */
export interface JobEvent {
  readonly phase: 'submitted' | 'settled' | 'late' | 'lost';
  readonly jobId: string;
  readonly model: string;
  readonly version: string;
  readonly lane: string;
  readonly rows: number;
  readonly entries: number;
}

/**
 * Requests that are not carried on, and where that was found. API: `expired` and `cancelled` while they waited to leave
 * (`batching`), `cancelled` in a job that was taken back from its `lane`, `expired` while their job was out (`result`);
 * `rejected` for the stage that has no room. Worker: `expired` on taking the job, on loading, before the `run` or,
 * having run in vain, before publishing.
 */
export interface DropEvent {
  readonly reason: 'expired' | 'cancelled' | 'rejected';
  readonly stage: DropStage;
  readonly requests: number;
}

export type DropStage =
  | 'admission'
  | 'saturation'
  | 'memory'
  | 'pending_rows'
  | 'streams'
  | 'deadline'
  | 'queue_delay'
  | 'batching'
  | 'lane'
  | 'result'
  | 'taking'
  | 'loading'
  | 'run'
  | 'publish';

/** Worker side: a run ended. */
export interface RunEvent {
  readonly jobId: string;
  readonly model: string;
  readonly version: string;
  readonly lane: string;
  readonly outcome: 'succeeded' | 'failed' | 'expired' | 'host_died' | 'host_hung';
  readonly rows: number;
  readonly queueMs: number;
  readonly waitMs: number;
  readonly runMs: number;
}

/** Worker side: an attempt at a chunk of a batch ended, unless its lock was lost. */
export interface ChunkEvent {
  readonly batchId: string;
  readonly index: number;
  readonly model: string;
  readonly version: string;
  /** From 1. */
  readonly attempt: number;
  /**
   * What the ledger said: `settled`, or `duplicate`, `final` and `gone` when the result came too late; `unwanted` when the
   * batch ended meanwhile, as when it is cancelled; `retried` when the chunk comes again.
   */
  readonly outcome: 'settled' | 'duplicate' | 'final' | 'gone' | 'unwanted' | 'retried';
  /** Of a chunk that was settled; with the rows that were refused at the door. */
  readonly rowsSucceeded: number;
  readonly rowsFailed: number;
  readonly deadLetters: number;
  /** Inside the runs. */
  readonly runMs: number;
  /** From taking the chunk. */
  readonly totalMs: number;
}

/** Worker side: life of a host process and of the versions in it. */
export interface HostEvent {
  readonly hostId: string;
  readonly pid: number | null;
  /** State after the event: starting, ready, busy, draining, stopped or defunct (workers/host-state.ts). */
  readonly state: string;
  /** What happened to `model`/`version` in this host, when the event is about that. */
  readonly change?: 'loaded' | 'unloaded' | 'load_failed';
  readonly model?: string;
  readonly version?: string;
  readonly durationMs?: number;
  readonly reason?: string;
}

/** Worker side: a version was proven to end or hang its host. Other hosts' deaths, by an operator say, are none of it. */
export interface VersionFaultEvent {
  readonly model: string;
  readonly version: string;
  readonly reason: 'host_died' | 'host_hung';
}

/** API side: a request was refused for its caller's limit, or a trip for tokens went to Redis and came back, or did not. */
export type LimitEvent =
  | { readonly change: 'refused'; readonly rateClass: string }
  | { readonly change: 'leased' | 'lost' };

/**
 * API side: what became of a request with an idempotency key. `taken_over` is a computation too, after one that did not
 * come to its end; `refused` is 409: another request under the key, or one that is still at work.
 */
export interface IdempotencyEvent {
  readonly outcome: 'computed' | 'taken_over' | 'replayed' | 'refused';
}

/** API side: an attempt to call a webhook ended; `given_up` when it was the last, `failed` when another one follows. */
export interface WebhookEvent {
  readonly outcome: 'delivered' | 'failed' | 'given_up';
}

/** API side: an answer that stays open for long has begun, or is over. */
export interface StreamEvent {
  readonly kind: 'results' | 'pages' | 'events';
  readonly change: 'opened' | 'ended';
}

/** Something went wrong that no request's answer shows: connection errors, lost locks, failed refreshes. */
export interface FaultEvent {
  readonly component: string;
  readonly message: string;
  readonly error?: unknown;
}

/** Something an operator wants in the log: listening, draining, registered. */
export interface NoticeEvent {
  readonly component: string;
  readonly message: string;
  readonly fields?: Readonly<Record<string, unknown>>;
}
