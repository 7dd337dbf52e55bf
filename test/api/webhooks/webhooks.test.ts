import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { Webhook } from 'standardwebhooks';
import { toBatchObject } from '../../../src/api/batch/batch-view.ts';
import { SqliteWebhookSecrets } from '../../../src/api/keys/sqlite-webhook-secrets.ts';
import { deliveriesKeptMax, DeliveryLog } from '../../../src/api/webhooks/delivery-log.ts';
import type { Delivery } from '../../../src/api/webhooks/delivery-log.ts';
import { startWebhooks } from '../../../src/api/webhooks/start-webhooks.ts';
import type { Webhooks, WebhookSettings } from '../../../src/api/webhooks/start-webhooks.ts';
import { webhookJobOf } from '../../../src/api/webhooks/webhook-outbox.ts';
import { until } from '../../../src/dev/readiness.ts';
import { createLifecycle } from '../../../src/lifecycle.ts';
import type { Lifecycle } from '../../../src/lifecycle.ts';
import { createRedisBatchWatcher } from '../../../src/queues/batch/redis-batch-watcher.ts';
import { closeConnections, connect } from '../../queues/builders.ts';
import { makeLedgerRig, newBatch } from '../../queues/batch/support/ledger-rig.ts';
import type { LedgerRig } from '../../queues/batch/support/ledger-rig.ts';
import { freePort } from '../../support/redis-server.ts';
import { redisUrl } from '../../support/services.ts';
import { answering, startReceiver } from './support/receiver.ts';
import type { Received, Receiver } from './support/receiver.ts';

const timeout = () => AbortSignal.timeout(15_000);
/** Each retry at once. */
const settings: WebhookSettings = {
  timeout_ms: 10_000,
  retry_delays_s: '0,0,0',
  rotation_overlap_ms: 60_000,
  allowed_networks: '127.0.0.1',
  allowed_ports: '443',
  in_flight_max: 8,
  per_host_max: 8,
};

describe('webhooks of batches', () => {
  let home: string;
  let rig: LedgerRig;
  let receiver: Receiver;
  let secrets: SqliteWebhookSecrets;
  let lifecycles: Lifecycle[];
  beforeEach(async () => {
    home = await mkdtemp(join(tmpdir(), 'millrace-webhooks-'));
    secrets = new SqliteWebhookSecrets(join(home, 'keys.db'));
    rig = await makeLedgerRig();
    receiver = await startReceiver();
    lifecycles = [];
  });
  afterEach(async () => {
    await Promise.all(lifecycles.map((lifecycle) => lifecycle.stop()));
    await receiver.close();
    closeConnections();
    await secrets.close();
    await rm(home, { recursive: true, force: true });
  });

  async function start(over: Partial<WebhookSettings> = {}): Promise<Webhooks> {
    const lifecycle = createLifecycle();
    lifecycles.push(lifecycle);
    const { redis, keys, ledger } = rig;
    const subscriber = await connect('subscriber', redisUrl());
    const watcher = await lifecycle.start(
      'watcher',
      () => createRedisBatchWatcher({ subscriber, keys }),
      (each) => each.close(),
    );
    return startWebhooks(
      lifecycle,
      {
        redis,
        producing: await connect('producer', redisUrl()),
        blocking: await connect('blocking', redisUrl()),
        keys,
        ledger,
        watcher,
        keyFile: join(home, 'keys.db'),
      },
      { ...settings, ...over },
    );
  }

  async function endedBatch(webhook: string | null = receiver.url): Promise<string> {
    const batch = newBatch({ webhook });
    await rig.ledger.create(batch);
    await rig.ledger.cancel(batch.id);
    return batch.id;
  }

  async function logged(webhooks: Webhooks, id: string, count: number): Promise<readonly Delivery[]> {
    let deliveries: readonly Delivery[] = [];
    await until(async () => {
      deliveries = await webhooks.log.list(id);
      return deliveries.length >= count;
    }, timeout());
    return deliveries;
  }

  const isEmpty = async () => (await rig.ledger.endings(10)).length === 0;

  it('tell of the end, signed, with the batch object', async () => {
    const webhooks = await start();
    const id = await endedBatch();
    await receiver.has(1);
    const { headers, body } = receiver.received[0] as Received;
    expect(JSON.parse(body)).to.deep.equal(toBatchObject((await rig.ledger.get(id))!));
    expect(headers).to.include({ 'content-type': 'application/json', 'webhook-id': id });
    const [current] = await secrets.ensure('key:one', 'whsec_none', Date.now());
    const verified = new Webhook(current!.secret).verify(body, headers as Record<string, string>);
    expect(verified).to.include({ id, status: 'cancelled' });
    const [delivery] = await logged(webhooks, id, 1);
    expect(delivery).to.include({
      attempt: 1,
      redelivery: false,
      status: 204,
      error: null,
      nextAttemptAtMs: null,
    });
    expect(await isEmpty()).to.equal(true);
    const ttlMs = await rig.redis.pttl(rig.keys.deliveries(id));
    expect(ttlMs).to.be.within(1, 60_000);
  });

  it('are sent for batches that ended while nobody looked', async () => {
    const ids = [await endedBatch(), await endedBatch()];
    await start();
    await receiver.has(2);
    expect(receiver.received.map(({ headers }) => headers['webhook-id'])).to.have.members(ids);
  });

  it('are sent once by several processes', async () => {
    await Promise.all([start(), start(), start()]);
    const ids = await Promise.all(Array.from({ length: 20 }, () => endedBatch()));
    await receiver.has(20);
    await until(isEmpty, timeout());
    expect(receiver.received.map(({ headers }) => headers['webhook-id'])).to.have.members(ids);
  });

  it('are sent after a process died between adding and acknowledging, and no second time', async () => {
    const first = await start();
    const id = await endedBatch();
    await logged(first, id, 1);
    await until(isEmpty, timeout());
    // As if it had not been acknowledged.
    await rig.redis.zadd(rig.keys.batchEndings, 1, id);
    await start();
    await until(isEmpty, timeout());
    const next = await endedBatch();
    await receiver.has(2);
    expect(receiver.received.map(({ headers }) => headers['webhook-id'])).to.deep.equal([id, next]);
  });

  it('acknowledge batches without one, and those that are gone', async () => {
    await endedBatch(null);
    await rig.redis.zadd(rig.keys.batchEndings, 1, 'batch_gone');
    await start();
    await until(isEmpty, timeout());
    expect(receiver.received).to.deep.equal([]);
  });

  it('are repeated until they are taken: the same message, signed anew', async () => {
    const statuses = [500, 301, 429, 200];
    receiver.respond = (response, request) => answering(statuses.shift() ?? 200)(response, request);
    const webhooks = await start();
    const id = await endedBatch();
    const deliveries = await logged(webhooks, id, 4);
    expect(deliveries.map(({ attempt, status, error }) => [attempt, status, error])).to.deep.equal([
      [1, 500, 'bad_status'],
      [2, 301, 'redirect'],
      [3, 429, 'bad_status'],
      [4, 200, null],
    ]);
    expect(deliveries.map(({ nextAttemptAtMs }) => nextAttemptAtMs === null)).to.deep.equal([
      false,
      false,
      false,
      true,
    ]);
    expect(new Set(receiver.received.map(({ body }) => body)).size).to.equal(1);
    expect(new Set(receiver.received.map(({ headers }) => headers['webhook-id']))).to.deep.equal(
      new Set([id]),
    );
  });

  it('reach a receiver that was down', async () => {
    const port = await freePort();
    const webhooks = await start({ retry_delays_s: '0,1,1,1,1,1,1,1' });
    const id = await endedBatch(`http://127.0.0.1:${port}/hook`);
    expect((await logged(webhooks, id, 1))[0]).to.include({ status: null, error: 'connection_failed' });
    const late = await startReceiver('127.0.0.1', port);
    await late.has(1);
    expect(late.received[0]!.headers['webhook-id']).to.equal(id);
    await late.close();
  });

  it('are given up after the last attempt', async () => {
    receiver.respond = answering(500);
    const webhooks = await start();
    const deliveries = await logged(webhooks, await endedBatch(), 4);
    expect(deliveries.at(-1)).to.include({ attempt: 4, error: 'bad_status', nextAttemptAtMs: null });
  });

  it('are given up at 410', async () => {
    receiver.respond = answering(410);
    const webhooks = await start();
    const id = await endedBatch();
    expect(await logged(webhooks, id, 1)).to.have.length(1);
    expect((await webhooks.log.list(id))[0]).to.include({ error: 'gone', nextAttemptAtMs: null });
    receiver.respond = answering(200);
    const other = await endedBatch();
    await logged(webhooks, other, 1);
    expect(receiver.received).to.have.length(2);
  });

  it('never go to an address that is not allowed', async () => {
    const inner = await startReceiver('127.0.0.2');
    const webhooks = await start();
    const deliveries = await logged(webhooks, await endedBatch(inner.url), 4);
    expect(new Set(deliveries.map(({ error }) => error))).to.deep.equal(new Set(['address_refused']));
    expect(inner.connectionCount).to.equal(0);
    await inner.close();
  });

  it('are signed with both secrets while they overlap', async () => {
    const [first] = await secrets.ensure('key:one', 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw', Date.now());
    const next = 'whsec_AAAA9r8GKYqrTwjUPD8ILPZIo2LaLaSw';
    await secrets.rotate('key:one', next, Date.now(), Date.now() + 60_000);
    await start();
    await endedBatch();
    await receiver.has(1);
    const { headers, body } = receiver.received[0] as Received;
    expect(String(headers['webhook-signature']).split(' ')).to.have.length(2);
    for (const secret of [first!.secret, next])
      new Webhook(secret).verify(body, headers as Record<string, string>);
  });

  it('are sent again on demand', async () => {
    const webhooks = await start();
    const id = await endedBatch();
    await logged(webhooks, id, 1);
    const job = webhookJobOf((await rig.ledger.get(id))!, true);
    await webhooks.queue.add(job!);
    const deliveries = await logged(webhooks, id, 2);
    expect(deliveries.map(({ attempt, redelivery }) => [attempt, redelivery])).to.deep.equal([
      [1, false],
      [1, true],
    ]);
    const ids = receiver.received.map(({ headers }) => headers['webhook-id']);
    expect(ids).to.deep.equal([id, id]);
  });

  it('of one host that hangs do not hold up those of others', async () => {
    const hanging = await startReceiver();
    hanging.respond = () => undefined;
    await start({ in_flight_max: 3, per_host_max: 2 });
    const stuck = await Promise.all(Array.from({ length: 10 }, () => endedBatch(hanging.url)));
    await hanging.has(2);
    const id = await endedBatch();
    await receiver.has(1);
    expect(receiver.received[0]!.headers['webhook-id']).to.equal(id);
    expect(stuck).to.have.length(10);
    expect(hanging.received).to.have.length(2);
    await hanging.close();
  });

  it('of many batches all arrive at a receiver that fails half of the time, also when a process stops meanwhile', async () => {
    let call = 0;
    receiver.respond = (response, request) => answering(call++ % 2 === 0 ? 500 : 204)(response, request);
    await start({ retry_delays_s: Array(12).fill('0').join() });
    await start({ retry_delays_s: Array(12).fill('0').join() });
    const ids = await Promise.all(Array.from({ length: 200 }, () => endedBatch()));
    await receiver.has(50);
    await lifecycles[0]!.stop();
    const delivered = async (id: string) =>
      (await new DeliveryLog(rig.redis, rig.keys).list(id)).at(-1)?.error === null;
    await until(async () => (await Promise.all(ids.map(delivered))).every(Boolean), timeout());
    expect(new Set(receiver.received.map(({ headers }) => headers['webhook-id'])).size).to.equal(200);
  });

  it('have a log of bounded length', async () => {
    const log = new DeliveryLog(rig.redis, rig.keys);
    const delivery = {
      redelivery: true,
      atMs: 1,
      durationMs: 1,
      status: 500,
      error: 'bad_status',
      nextAttemptAtMs: null,
    } as const;
    for (let attempt = 1; attempt <= deliveriesKeptMax + 5; attempt++)
      // oxlint-disable-next-line no-await-in-loop
      await log.append('batch_1', { ...delivery, attempt }, Date.now() + 60_000);
    const kept = await log.list('batch_1');
    expect(kept.map(({ attempt }) => attempt)).to.deep.equal(
      Array.from({ length: deliveriesKeptMax }, (_, n) => n + 6),
    );
  });
});
