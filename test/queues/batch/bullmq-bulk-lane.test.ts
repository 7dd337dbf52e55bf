import { expect } from 'chai';
import type { Redis } from 'ioredis';
import { channels } from '../../../src/channels.ts';
import { until } from '../../../src/dev/readiness.ts';
import { MillraceError } from '../../../src/errors.ts';
import type { ChunkRef } from '../../../src/queues/batch/batch.ts';
import {
  createBullmqBulkConsumer,
  createBullmqBulkLane,
} from '../../../src/queues/batch/bullmq-bulk-lane.ts';
import type { BulkConsumer, RunChunk, TakenChunk } from '../../../src/queues/batch/bulk-consumer.ts';
import { createRedisKeys } from '../../../src/queues/lanes.ts';
import { randomPrefix, redisUrl } from '../../support/services.ts';
import { closeConnections, connect } from '../builders.ts';
import { createInbox, rejectionOf } from '../inbox.ts';

const attempts = 3;
const refs = (count: number, batchId = 'batch_01'): readonly ChunkRef[] =>
  Array.from({ length: count }, (_, index) => ({ batchId, index }));

describe('bulk lane', () => {
  let redis: Redis;
  let keys: ReturnType<typeof createRedisKeys>;
  let lane: ReturnType<typeof createBullmqBulkLane>;
  let consumers: BulkConsumer[];
  /** Retries publish faults; nobody reads them here. */
  const ignore = (): void => {};

  beforeEach(async () => {
    channels.fault.subscribe(ignore);
    redis = await connect('producer', redisUrl());
    keys = createRedisKeys(randomPrefix());
    lane = createBullmqBulkLane({ redis, keys, eventsKeptMax: 10, attempts });
    consumers = [];
  });
  afterEach(async () => {
    channels.fault.unsubscribe(ignore);
    await Promise.all(consumers.map((consumer) => consumer.close()));
    await lane.close();
    closeConnections();
  });

  async function consume(run: RunChunk, concurrency = 4): Promise<BulkConsumer> {
    const consumer = createBullmqBulkConsumer({
      connection: await connect('blocking', redisUrl()),
      keys,
      pool: 'default',
      concurrency,
      lockMs: 600,
      stalledIntervalMs: 300,
      backoffMs: 10,
      backoffMsMax: 20,
    });
    consumers.push(consumer);
    await consumer.start(run);
    return consumer;
  }

  const keysOfJobs = (): Promise<string[]> => redis.keys(`${keys.bullmq}:default.bulk:batch_*`);

  it('hands chunks to a worker in their order and forgets them', async () => {
    await lane.add('default', refs(20));
    const taken = createInbox<TakenChunk>();
    const consumer = await consume(async (chunk) => taken.push(chunk), 1);
    await taken.filled(20);
    expect(taken.items.map(({ ref }) => ref)).to.deep.equal(refs(20));
    expect(taken.items[0]).to.include({ startCount: 1, attempt: 1, isLastAttempt: false });
    expect(await consumer.drain(5000)).to.equal('drained');
    expect(await keysOfJobs()).to.deep.equal([]);
  });

  it('leaves a chunk where it is that is in the lane already, and takes it again once it has left', async () => {
    await lane.add('default', refs(2));
    await lane.add('default', refs(3));
    const taken = createInbox<TakenChunk>();
    await consume(async (chunk) => taken.push(chunk));
    await taken.filled(3);
    await until(async () => (await keysOfJobs()).length === 0, never);
    await lane.add('default', refs(1));
    expect((await taken.filled(4))[3]?.ref).to.deep.equal(refs(1)[0]);
  });

  it('says which chunks are missing: not those that wait, are with a worker or will come again', async () => {
    const [failing, held] = refs(2, 'batch_02') as [ChunkRef, ChunkRef];
    const waiting = refs(150, 'batch_03');
    const begun = createInbox<TakenChunk>();
    const release = Promise.withResolvers<void>();
    await lane.add('default', [held]);
    const consumer = await consume(async (chunk) => {
      begun.push(chunk);
      await release.promise;
    }, 1);
    await begun.filled(1);
    await lane.add('default', waiting);
    expect(await lane.missing('default', [held, ...waiting, failing])).to.deep.equal([failing]);
    expect(await lane.missing('default', [])).to.deep.equal([]);
    release.resolve();
    await begun.filled(151);
    await consumer.drain(5000);
    expect(await lane.missing('default', [held, ...waiting])).to.deep.equal([held, ...waiting]);
  });

  it('brings a chunk that was rejected again, says which attempt is the last, and then lets it go', async () => {
    const taken = createInbox<TakenChunk>();
    await consume(async (chunk) => {
      taken.push(chunk);
      throw new MillraceError('service_unavailable', 'secret values');
    });
    await lane.add('default', refs(1));
    const starts = await taken.filled(attempts);
    expect(starts.map(({ attempt }) => attempt)).to.deep.equal([1, 2, 3]);
    expect(starts.map(({ startCount }) => startCount)).to.deep.equal([1, 1, 1]);
    expect(starts.map(({ isLastAttempt }) => isLastAttempt)).to.deep.equal([false, false, true]);
    await until(async () => (await keysOfJobs()).length === 0, never);
    expect(await lane.missing('default', refs(1))).to.deep.equal(refs(1));
  });

  it('fires the signal of what is in hand when it is closed; another worker has it later, as its second start', async () => {
    const first = createInbox<TakenChunk>();
    const second = createInbox<TakenChunk>();
    const dying = await consume(async (chunk) => {
      first.push(chunk);
      await new Promise((resolve) => chunk.signal.addEventListener('abort', resolve));
    });
    await lane.add('default', refs(1));
    const [held] = (await first.filled(1)) as [TakenChunk];
    expect(await dying.drain(1)).to.equal('abandoned');
    await dying.close();
    expect(held.signal.aborted).to.equal(true);
    await consume(async (chunk) => second.push(chunk));
    const [again] = (await second.filled(1)) as [TakenChunk];
    expect(again).to.deep.include({ ref: held.ref, startCount: 2, attempt: 1 });
  });

  it('drops a job that names no chunk', async () => {
    await lane.add('default', [{ batchId: 'batch_04', index: 'x' as unknown as number }]);
    const taken = createInbox<TakenChunk>();
    await consume(async (chunk) => taken.push(chunk), 1);
    await lane.add('default', refs(1));
    expect((await taken.filled(1))[0]?.ref).to.deep.equal(refs(1)[0]);
  });

  it('says so at once when Redis is out of reach, or after its end', async () => {
    await lane.add('default', refs(1));
    redis.disconnect();
    const code = 'service_unavailable';
    expect(await rejectionOf(lane.add('default', refs(1)))).to.have.property('code', code);
    expect(await rejectionOf(lane.missing('default', refs(1)))).to.have.property('code', code);
    await lane.close();
    expect(await rejectionOf(lane.add('default', refs(1)))).to.have.property('code', code);
  });
});

const never = new AbortController().signal;
