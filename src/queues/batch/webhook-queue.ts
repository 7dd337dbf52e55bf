/** What is sent when a batch ends: settled once, so that all attempts send the same. */
export interface WebhookJob {
  readonly batchId: string;
  /** Whose secrets sign it. */
  readonly owner: string;
  readonly url: string;
  /** The batch object as JSON. */
  readonly body: string;
  /** Of the batch, by the shared clock: the log of deliveries goes with it. */
  readonly expiresAtMs: number;
  /** The caller asked for it again. */
  readonly redelivery: boolean;
}

export interface TakenWebhook {
  readonly job: WebhookJob;
  /** From 1. */
  readonly attempt: number;
  /** Fires when the job is somebody else's by now. */
  readonly signal: AbortSignal;
}

/** `again` counts as an attempt, `later` does not: the job was put off before anything was sent. */
export type WebhookVerdict =
  | { readonly kind: 'done' }
  | { readonly kind: 'again'; readonly afterMs: number }
  | { readonly kind: 'later'; readonly afterMs: number };

/** Port: webhooks that are to be sent. A job is taken at least once, until it is `done` or its attempts are over. */
export interface WebhookQueue {
  /**
   * A job that is there already stays as it is, also for a while after its end; a redelivery is always a job of its own.
   * Throws `service_unavailable`.
   */
  add(job: WebhookJob): Promise<void>;
  /** Resolves once jobs are taken. A rejection of `deliver` puts the job off, like `later`. */
  start(deliver: (taken: TakenWebhook) => Promise<WebhookVerdict>): Promise<void>;
  /** Takes no more jobs; those in hand have `graceMs`, then another process takes them. */
  close(graceMs: number): Promise<void>;
}
