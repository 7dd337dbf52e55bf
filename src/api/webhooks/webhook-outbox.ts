import { channels } from '../../channels.ts';
import type { FaultEvent } from '../../channels.ts';
import { MillraceError } from '../../errors.ts';
import { isFinal } from '../../queues/batch/batch.ts';
import type { BatchRecord } from '../../queues/batch/batch.ts';
import type { BatchLedger, BatchWatcher } from '../../queues/batch/batch-ledger.ts';
import type { WebhookJob, WebhookQueue } from '../../queues/batch/webhook-queue.ts';
import { toBatchObject } from '../batch/batch-view.ts';

export interface WebhookOutboxOptions {
  readonly ledger: Pick<BatchLedger, 'get' | 'endings' | 'acknowledgeEnding'>;
  readonly watcher: Pick<BatchWatcher, 'onEnding'>;
  readonly queue: Pick<WebhookQueue, 'add'>;
}

/** Endings whose message was missed, or that a process left behind when it died. */
const pollMs = 5000;
const endingsAtOnceMax = 100;

/**
 * Hands the endings of batches on to the queue of webhooks. An ending is acknowledged once it is in the queue, so a
 * process may die at any point: another one adds it again, which changes nothing.
 */
export class WebhookOutbox {
  readonly #options: WebhookOutboxOptions;
  #timer: NodeJS.Timeout | undefined;
  #unwatch: (() => void) | undefined;
  #emptying: Promise<void> | undefined;
  #again = false;

  constructor(options: WebhookOutboxOptions) {
    this.#options = options;
  }

  /** Looks as soon as the watcher hears of endings, which it says once it does. */
  start(): void {
    this.#unwatch = this.#options.watcher.onEnding(this.#look);
    this.#timer = setInterval(this.#look, pollMs);
  }

  async close(): Promise<void> {
    clearInterval(this.#timer);
    this.#unwatch?.();
    this.#again = false;
    await this.#emptying;
  }

  /** One look at a time; what comes meanwhile causes another. */
  readonly #look = (): void => {
    this.#again = true;
    this.#emptying ??= this.#empty().finally(() => (this.#emptying = undefined));
  };

  async #empty(): Promise<void> {
    try {
      while (this.#again) {
        this.#again = false;
        // oxlint-disable-next-line no-await-in-loop
        const ids = await this.#options.ledger.endings(endingsAtOnceMax);
        // oxlint-disable-next-line no-await-in-loop
        const handed = await Promise.all(ids.map((id) => this.#hand(id)));
        // Where all failed, looking again at once would only fail again.
        if (ids.length === endingsAtOnceMax && handed.includes(true)) this.#again = true;
      }
    } catch (error) {
      // Of a Redis that is away its connections tell.
      if (!isUnavailable(error)) publishFault('Ended batches could not be read', error);
    }
  }

  async #hand(id: string): Promise<boolean> {
    const { ledger, queue } = this.#options;
    try {
      const record = await ledger.get(id);
      const job = record === undefined ? undefined : webhookJobOf(record);
      if (job !== undefined) await queue.add(job);
      await ledger.acknowledgeEnding(id);
      return true;
    } catch (error) {
      if (!isUnavailable(error)) publishFault(`The ending of ${id} was not handed on`, error);
      return false;
    }
  }
}

/** Undefined for a batch without a webhook, and for one that has not ended. */
export function webhookJobOf(record: BatchRecord, redelivery = false): WebhookJob | undefined {
  const { id: batchId, owner, webhook: url, expiresAtMs, status } = record;
  if (url === null || expiresAtMs === null || !isFinal(status)) return undefined;
  return { batchId, owner, url, body: JSON.stringify(toBatchObject(record)), expiresAtMs, redelivery };
}

function isUnavailable(error: unknown): boolean {
  return MillraceError.is(error) && error.code === 'service_unavailable';
}

function publishFault(message: string, error: unknown): void {
  channels.fault.publish({ component: 'webhooks', message, error } satisfies FaultEvent);
}
