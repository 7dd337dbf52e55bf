import type { Redis } from 'ioredis';
import { channels } from '../../channels.ts';
import type { FaultEvent } from '../../channels.ts';
import type { Lifecycle } from '../../lifecycle.ts';
import type { BatchLedger, BatchWatcher } from '../../queues/batch/batch-ledger.ts';
import { BullmqWebhookQueue } from '../../queues/batch/bullmq-webhook-queue.ts';
import type { WebhookQueue } from '../../queues/batch/webhook-queue.ts';
import type { RedisKeys } from '../../queues/lanes.ts';
import { SqliteWebhookSecrets } from '../keys/sqlite-webhook-secrets.ts';
import type { WebhookSecrets } from '../keys/webhook-secrets.ts';
import { AddressGuard } from './address-guard.ts';
import { DeliveryLog } from './delivery-log.ts';
import { RetrySchedule } from './retry-schedule.ts';
import { WebhookDeliverer } from './webhook-deliverer.ts';
import { WebhookOutbox } from './webhook-outbox.ts';
import { WebhookSender } from './webhook-sender.ts';
import { checkWebhookUrl } from './webhook-url.ts';

export interface WebhookParts {
  /** Of roles `command`, `producer` and `blocking`; they stay the caller's. */
  readonly redis: Redis;
  readonly producing: Redis;
  readonly blocking: Redis;
  readonly keys: RedisKeys;
  readonly ledger: Pick<BatchLedger, 'get' | 'endings' | 'acknowledgeEnding'>;
  readonly watcher: Pick<BatchWatcher, 'onEnding'>;
  /** The file of the keys, which holds the secrets too. */
  readonly keyFile: string;
}

export interface WebhookSettings {
  readonly timeout_ms: number;
  readonly retry_delays_s: string;
  readonly rotation_overlap_ms: number;
  readonly allowed_networks: string;
  readonly allowed_ports: string;
  readonly in_flight_max: number;
  readonly per_host_max: number;
}

export interface Webhooks {
  readonly queue: Pick<WebhookQueue, 'add'>;
  readonly log: Pick<DeliveryLog, 'list'>;
  readonly secrets: Pick<WebhookSecrets, 'ensure' | 'rotate'>;
  readonly rotationOverlapMs: number;
  /** Throws `invalid_input` for a URL that no webhook may have. */
  checkUrl(url: string): void;
}

/** BullMQ's stream of events, which nobody reads. */
const eventsKeptMax = 100;
/** What calls on their way have when the process stops; another process repeats what did not end. */
const stopGraceMs = 1000;

/** Does not wait for Redis: webhooks are sent as soon as it is there. Throws `invalid_input` for wrong settings. */
export async function startWebhooks(
  lifecycle: Pick<Lifecycle, 'start'>,
  parts: WebhookParts,
  settings: WebhookSettings,
): Promise<Webhooks> {
  const { redis, producing, blocking, keys, ledger, watcher, keyFile } = parts;
  const guard = new AddressGuard({
    allowedNetworks: settings.allowed_networks,
    allowedPorts: settings.allowed_ports,
  });
  const secrets = await lifecycle.start(
    'secrets of webhooks',
    () => new SqliteWebhookSecrets(keyFile),
    (each) => each.close(),
  );
  const schedule = new RetrySchedule(settings.retry_delays_s);
  const log = new DeliveryLog(redis, keys);
  const deliverer = new WebhookDeliverer({
    sender: new WebhookSender({ guard, timeoutMs: settings.timeout_ms, now: Date.now }),
    secrets,
    log,
    schedule,
    perHostMax: settings.per_host_max,
    now: Date.now,
    random: Math.random,
  });
  const queue = await lifecycle.start(
    'webhooks',
    () => {
      const each = new BullmqWebhookQueue({
        redis: producing,
        connection: blocking,
        keys,
        concurrency: settings.in_flight_max,
        attempts: schedule.attempts,
        eventsKeptMax,
      });
      each.start((taken) => deliverer.deliver(taken)).catch(publishFault);
      return each;
    },
    (each) => each.close(stopGraceMs),
  );
  await lifecycle.start(
    'endings of batches',
    () => {
      const outbox = new WebhookOutbox({ ledger, watcher, queue });
      outbox.start();
      return outbox;
    },
    (each) => each.close(),
  );
  return {
    queue,
    log,
    secrets,
    rotationOverlapMs: settings.rotation_overlap_ms,
    checkUrl: (url) => checkWebhookUrl(url, guard),
  };
}

function publishFault(error: unknown): void {
  const message = 'Webhooks are not sent by this process';
  channels.fault.publish({ component: 'webhooks', message, error } satisfies FaultEvent);
}
