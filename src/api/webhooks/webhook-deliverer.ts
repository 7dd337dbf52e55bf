import { channels } from '../../channels.ts';
import type { FaultEvent, WebhookEvent } from '../../channels.ts';
import type { TakenWebhook, WebhookJob, WebhookVerdict } from '../../queues/batch/webhook-queue.ts';
import type { WebhookSecrets } from '../keys/webhook-secrets.ts';
import type { Delivery, DeliveryLog } from './delivery-log.ts';
import { HostShare } from './host-share.ts';
import type { RetrySchedule } from './retry-schedule.ts';
import type { Attempt, WebhookSender } from './webhook-sender.ts';
import { generateWebhookSecret, signaturesOf } from './webhook-signature.ts';

export interface WebhookDelivererOptions {
  readonly sender: Pick<WebhookSender, 'post'>;
  readonly secrets: Pick<WebhookSecrets, 'ensure'>;
  readonly log: Pick<DeliveryLog, 'append'>;
  readonly schedule: RetrySchedule;
  readonly perHostMax: number;
  /** Milliseconds since the epoch: receivers compare it with their own clock. */
  readonly now: () => number;
  readonly random: () => number;
}

/** How soon a webhook comes up again whose host has its share of calls already. */
const busyHostMs = 2000;

/** One attempt to deliver: signs, sends, writes it down, and says what is next. */
export class WebhookDeliverer {
  readonly #options: WebhookDelivererOptions;
  readonly #hosts: HostShare;

  constructor(options: WebhookDelivererOptions) {
    this.#options = options;
    this.#hosts = new HostShare(options.perHostMax);
  }

  /** Rejects with `service_unavailable` when the secrets are out of reach: nothing was sent then. */
  async deliver(taken: TakenWebhook): Promise<WebhookVerdict> {
    const { host } = new URL(taken.job.url);
    if (!this.#hosts.take(host)) return { kind: 'later', afterMs: busyHostMs * (1 + this.#options.random()) };
    try {
      return await this.#attempt(taken);
    } finally {
      this.#hosts.giveBack(host);
    }
  }

  async #attempt({ job, attempt, signal }: TakenWebhook): Promise<WebhookVerdict> {
    const { sender, secrets, now } = this.#options;
    const atMs = now();
    const known = await secrets.ensure(job.owner, generateWebhookSecret(), atMs);
    const headers = headersOf(
      job,
      Math.floor(atMs / 1000),
      known.map(({ secret }) => secret),
    );
    const outcome = await sender.post(job.url, headers, job.body, signal);
    if (signal.aborted) return { kind: 'done' };
    const endedAtMs = now();
    const afterMs = this.#delayAfter(attempt, outcome);
    const { status, error } = outcome;
    await this.#write(job, {
      attempt,
      redelivery: job.redelivery,
      atMs,
      durationMs: endedAtMs - atMs,
      status,
      error,
      nextAttemptAtMs: afterMs === undefined ? null : endedAtMs + afterMs,
    });
    publish(error === null ? 'delivered' : afterMs === undefined ? 'given_up' : 'failed');
    return afterMs === undefined ? { kind: 'done' } : { kind: 'again', afterMs };
  }

  /** Undefined when there is no further attempt. */
  #delayAfter(attempt: number, { error, retryAfterMs }: Attempt): number | undefined {
    if (error === null || error === 'gone') return undefined;
    const { schedule, random } = this.#options;
    return schedule.delayMs(attempt, retryAfterMs, random());
  }

  /** The receiver has been called: that this is not written down must not call it again. */
  async #write(job: WebhookJob, delivery: Delivery): Promise<void> {
    try {
      await this.#options.log.append(job.batchId, delivery, job.expiresAtMs);
    } catch (error) {
      const message = `An attempt to call the webhook of ${job.batchId} was not logged`;
      channels.fault.publish({ component: 'webhooks', message, error } satisfies FaultEvent);
    }
  }
}

function headersOf(
  { batchId, body }: WebhookJob,
  timestampS: number,
  secrets: readonly string[],
): Readonly<Record<string, string>> {
  return {
    'content-type': 'application/json',
    'content-length': String(Buffer.byteLength(body)),
    'user-agent': 'millrace-webhooks',
    'webhook-id': batchId,
    'webhook-timestamp': String(timestampS),
    'webhook-signature': signaturesOf({ id: batchId, timestampS, body }, secrets),
  };
}

function publish(outcome: WebhookEvent['outcome']): void {
  channels.webhook.publish({ outcome } satisfies WebhookEvent);
}
