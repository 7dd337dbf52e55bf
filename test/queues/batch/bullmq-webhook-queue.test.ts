import { expect } from 'chai';
import type { Redis } from 'ioredis';
import { channels } from '../../../src/channels.ts';
import type { FaultEvent } from '../../../src/channels.ts';
import { MillraceError } from '../../../src/errors.ts';
import { BullmqWebhookQueue } from '../../../src/queues/batch/bullmq-webhook-queue.ts';
import type { TakenWebhook, WebhookJob, WebhookVerdict } from '../../../src/queues/batch/webhook-queue.ts';
import { createRedisKeys } from '../../../src/queues/lanes.ts';
import type { RedisKeys } from '../../../src/queues/lanes.ts';
import { randomPrefix, redisUrl } from '../../support/services.ts';
import { closeConnections, connect } from '../builders.ts';
import { createInbox, rejectionOf } from '../inbox.ts';

const done: WebhookVerdict = { kind: 'done' };
const again: WebhookVerdict = { kind: 'again', afterMs: 1 };
const later: WebhookVerdict = { kind: 'later', afterMs: 1 };

function jobOf(batchId: string, over: Partial<WebhookJob> = {}): WebhookJob {
  return {
    batchId,
    owner: 'me',
    url: 'https://example.com/',
    body: '{}',
    expiresAtMs: 9_000_000_000_000,
    redelivery: false,
    ...over,
  };
}

describe('the queue of webhooks', () => {
  let keys: RedisKeys;
  let queues: BullmqWebhookQueue[];
  beforeEach(() => {
    keys = createRedisKeys(randomPrefix());
    queues = [];
  });
  afterEach(async () => {
    await Promise.all(queues.map((queue) => queue.close(0)));
    closeConnections();
  });

  async function open(): Promise<{ readonly queue: BullmqWebhookQueue; readonly redis: Redis }> {
    const redis = await connect('producer', redisUrl());
    const connection = await connect('blocking', redisUrl());
    const queue = new BullmqWebhookQueue({
      redis,
      connection,
      keys,
      concurrency: 4,
      attempts: 4,
      eventsKeptMax: 10,
    });
    queues.push(queue);
    return { queue, redis };
  }

  it('takes a job once, however often it is added', async () => {
    const { queue } = await open();
    const taken = createInbox<TakenWebhook>();
    await queue.add(jobOf('batch_1'));
    await queue.start(async (webhook) => {
      taken.push(webhook);
      return done;
    });
    const [{ job, attempt } = { job: undefined, attempt: 0 }] = await taken.filled(1);
    expect(job).to.deep.equal(jobOf('batch_1'));
    expect(attempt).to.equal(1);
    await queue.add(jobOf('batch_1'));
    await queue.add(jobOf('batch_2'));
    expect((await taken.filled(2)).map((webhook) => webhook.job.batchId)).to.deep.equal([
      'batch_1',
      'batch_2',
    ]);
  });

  it('takes each redelivery', async () => {
    const { queue } = await open();
    const taken = createInbox<TakenWebhook>();
    // oxlint-disable-next-line no-await-in-loop
    for (const redelivery of [false, true, true]) await queue.add(jobOf('batch_1', { redelivery }));
    await queue.start(async (webhook) => {
      taken.push(webhook);
      return done;
    });
    await taken.filled(3);
  });

  it('counts attempts, not what was put off, and ends with the last', async () => {
    const { queue } = await open();
    const taken = createInbox<number>();
    await queue.add(jobOf('batch_1'));
    await queue.start(async ({ attempt, job }) => {
      if (job.batchId === 'batch_2') return done;
      taken.push(attempt);
      return taken.items.length === 2 ? later : again;
    });
    expect(await taken.filled(5)).to.deep.equal([1, 2, 2, 3, 4]);
    await queue.add(jobOf('batch_1'));
    expect(taken.items).to.have.length(5);
  });

  it('puts a job off when ours fails, and tells of it', async () => {
    const faults = createInbox<FaultEvent>();
    const onFault = (event: unknown): void => faults.push(event as FaultEvent);
    channels.fault.subscribe(onFault);
    const { queue, redis } = await open();
    await queue.add(jobOf('batch_1'));
    await queue.start(() => Promise.reject(new MillraceError('service_unavailable')));
    expect((await faults.filled(1))[0]).to.have.property('message', 'The webhook batch_1 was put off');
    channels.fault.unsubscribe(onFault);
    let state: Record<string, string> = {};
    while (!('delay' in state) || state['delay'] === '0')
      state = await redis.hgetall(`${keys.bullmq}:webhooks:batch_1`);
    expect(Number(state['delay'])).to.be.within(1000, 5000);
    expect(state['atm'] ?? '0').to.equal('0');
  });

  it('leaves what a stopped process had in hand to another', async () => {
    const [stopped, other] = [await open(), await open()];
    await stopped.queue.add(jobOf('batch_1'));
    await new Promise<void>((begun) => {
      void stopped.queue.start(({ signal }) => {
        begun();
        return new Promise((resolve) => signal.addEventListener('abort', () => resolve(done)));
      });
    });
    await stopped.queue.close(0);
    const taken = createInbox<TakenWebhook>();
    await other.queue.start(async (webhook) => {
      taken.push(webhook);
      return done;
    });
    expect((await taken.filled(1))[0]!.job.batchId).to.equal('batch_1');
  }).timeout(40_000);

  it('is service_unavailable without Redis', async () => {
    const { queue, redis } = await open();
    redis.disconnect();
    expect(await rejectionOf(queue.add(jobOf('batch_1')))).to.have.property('code', 'service_unavailable');
  });
});
