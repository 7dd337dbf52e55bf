import { MillraceError } from '../../errors.ts';
import { isFinal } from '../../queues/batch/batch.ts';
import type { BatchLedger } from '../../queues/batch/batch-ledger.ts';
import { batchPath } from '../batch/batch-view.ts';
import type { WebhookSecret } from '../keys/webhook-secrets.ts';
import type { Delivery } from '../webhooks/delivery-log.ts';
import type { Webhooks } from '../webhooks/start-webhooks.ts';
import { webhookJobOf } from '../webhooks/webhook-outbox.ts';
import { generateWebhookSecret } from '../webhooks/webhook-signature.ts';
import { jsonAnswer, jsonType } from './answer.ts';
import type { Answer } from './answer.ts';
import { batchOf, callerOf } from './batch-routes.ts';
import type { Exchange } from './exchange.ts';
import type { Route } from './route-table.ts';

export interface WebhookRoutesOptions {
  readonly webhooks: Omit<Webhooks, 'checkUrl'>;
  readonly ledger: Pick<BatchLedger, 'get' | 'hasExpired'>;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
}

/** What came of the webhook of a batch, and the secrets that a caller's webhooks are signed with. */
export function webhookRoutes(options: WebhookRoutesOptions): readonly Route[] {
  const { now } = options;
  const { secrets, rotationOverlapMs } = options.webhooks;
  const route = { scope: 'batch', produces: jsonType, query: [] } as const;
  return [
    {
      ...route,
      method: 'GET',
      template: '/api/v1/batch/{id}/deliveries',
      handler: (exchange) => showDeliveries(options, exchange),
    },
    {
      ...route,
      method: 'POST',
      template: '/api/v1/batch/{id}/redeliver',
      handler: (exchange) => redeliver(options, exchange),
    },
    {
      ...route,
      method: 'GET',
      template: '/api/v1/webhook-secret',
      handler: async (exchange) =>
        shown(await secrets.ensure(callerOf(exchange).id, generateWebhookSecret(), now())),
    },
    {
      ...route,
      method: 'POST',
      template: '/api/v1/webhook-secret/rotate',
      handler: async (exchange) => {
        const nowMs = now();
        const fresh = generateWebhookSecret();
        return shown(await secrets.rotate(callerOf(exchange).id, fresh, nowMs, nowMs + rotationOverlapMs));
      },
    },
  ];
}

async function showDeliveries(
  { ledger, webhooks }: WebhookRoutesOptions,
  exchange: Exchange,
): Promise<Answer> {
  const { id, webhook } = await batchOf(exchange, ledger);
  const deliveries = webhook === null ? [] : await webhooks.log.list(id);
  return jsonAnswer(200, {
    webhook,
    status: webhook === null ? null : statusOf(deliveries.at(-1)),
    deliveries: deliveries.map(deliveryView),
  });
}

async function redeliver({ ledger, webhooks }: WebhookRoutesOptions, exchange: Exchange): Promise<Answer> {
  const record = await batchOf(exchange, ledger);
  const job = webhookJobOf(record, true);
  if (job === undefined)
    throw new MillraceError('conflict', 'There is nothing to deliver', {
      details: isFinal(record.status) ? 'The batch has no webhook' : 'The batch has not ended',
    });
  await webhooks.queue.add(job);
  const deliveries = `${batchPath(record.id)}/deliveries`;
  return jsonAnswer(202, { webhook: job.url, links: { deliveries } }, ['Location', deliveries]);
}

/** Of the webhook, by its last attempt. */
function statusOf(last: Delivery | undefined): 'pending' | 'delivered' | 'given_up' {
  if (last === undefined || last.nextAttemptAtMs !== null) return 'pending';
  return last.error === null ? 'delivered' : 'given_up';
}

function deliveryView({ attempt, redelivery, atMs, durationMs, status, error, nextAttemptAtMs }: Delivery) {
  return {
    attempt,
    redelivery,
    at: new Date(atMs).toISOString(),
    duration_ms: durationMs,
    status,
    error,
    next_attempt_at: nextAttemptAtMs === null ? null : new Date(nextAttemptAtMs).toISOString(),
  };
}

function shown([current, ...previous]: readonly WebhookSecret[]): Answer {
  if (current === undefined) throw new MillraceError('internal_error', 'There is no secret that signs');
  return jsonAnswer(200, {
    secret: current.secret,
    created_at: new Date(current.createdAtMs).toISOString(),
    // Not their text: whoever has lost it rotates.
    previous: previous.map(({ createdAtMs, expiresAtMs }) => ({
      created_at: new Date(createdAtMs).toISOString(),
      expires_at: new Date(expiresAtMs ?? createdAtMs).toISOString(),
    })),
  });
}
