import { expect } from 'chai';
import type { Redis, RedisKey } from 'ioredis';
import { ulid } from 'ulid';
import { channels } from '../../src/channels.ts';
import type { FaultEvent } from '../../src/channels.ts';
import { createRedisKeys } from '../../src/queues/lanes.ts';
import { createRedisResultPublisher } from '../../src/queues/redis-result-publisher.ts';
import { acknowledgeCountMax, createRedisResultReceiver } from '../../src/queues/redis-result-receiver.ts';
import type { ResultPublisher, ResultReceiver } from '../../src/queues/result-channel.ts';
import { encodeResult } from '../../src/queues/result.ts';
import type { ResultOutcome } from '../../src/queues/result.ts';
import { closeConnections, connect, rows, rowValues, sampleResult } from '../queues/builders.ts';
import { createInbox, nextEvent, rejectionOf } from '../queues/inbox.ts';
import { startRedis } from '../support/redis-server.ts';
import type { TestRedis } from '../support/redis-server.ts';
import { randomPrefix } from '../support/services.ts';

const keptMax = 200;
const inlineBytesMax = 4096;

function valuesOf(outcome: ResultOutcome | undefined): readonly number[] {
  if (outcome?.kind !== 'result') throw outcome?.error ?? new Error('nothing');
  return rowValues(outcome.result.tensors);
}

describe('result channel contract', () => {
  const keys = createRedisKeys(randomPrefix());
  let server: TestRedis;
  let redis: Redis;
  let subscriber: Redis;
  let publisher: ResultPublisher;
  let receiver: ResultReceiver;

  before(async () => {
    // What was kept must outlast a kill, which `everysec` does not promise.
    server = await startRedis(['--appendfsync', 'always']);
  });
  after(() => server.stop());
  beforeEach(async () => {
    redis = await connect('command', server.url);
    subscriber = await connect('subscriber', server.url);
    publisher = createRedisResultPublisher({
      redis: await connect('command', server.url),
      keys,
      keptMax,
      ttlMs: 60_000,
      inlineBytesMax,
    });
    receiver = await createRedisResultReceiver({ subscriber, redis, keys, replyTo: ulid() });
  });
  afterEach(async () => {
    await receiver.close();
    closeConnections();
  });

  const expectResult = (id: string): Promise<ResultOutcome> =>
    new Promise((resolve) => receiver.expect(id, resolve));
  const publish = (id: string, ...values: readonly number[]): Promise<void> =>
    publisher.publish(receiver.replyTo, sampleResult({ id, tensors: rows(...values) }));
  const keptCount = (): Promise<number> => redis.hlen(keys.resultHash(receiver.replyTo));

  it('gives each waiter the result of its job, as it was published', async () => {
    const result = sampleResult({ tensors: rows(1, 2, 3) });
    const outcome = expectResult(result.id);
    await publisher.publish(receiver.replyTo, result);
    const got = await outcome;
    expect(valuesOf(got)).to.deep.equal([1, 2, 3]);
    expect(got.kind === 'result' && { ...got.result, tensors: null }).to.deep.equal({
      ...result,
      tensors: null,
    });
  });

  it('keeps 1,000 interleaved jobs apart', async () => {
    const ids = Array.from({ length: 1000 }, () => ulid());
    const outcomes = ids.map(expectResult);
    const shuffled = ids
      .map((id, i) => ({ id, i }))
      .toSorted((a, b) => (a.id.slice(-1) < b.id.slice(-1) ? -1 : 1));
    await Promise.all(shuffled.map(({ id, i }) => publish(id, i)));
    const values = (await Promise.all(outcomes)).map((outcome) => valuesOf(outcome)[0]);
    expect(values).to.deep.equal(ids.map((_, i) => i));
  });

  it('settles once when a job was run twice', async () => {
    const id = ulid();
    const settled = createInbox<ResultOutcome>();
    receiver.expect(id, (outcome) => settled.push(outcome));
    await publish(id, 1);
    await publish(id, 2);
    const next = ulid();
    const after = expectResult(next);
    await publish(next, 3);
    await after;
    expect(settled.items.map(valuesOf)).to.deep.equal([[1]]);
  });

  it('tells of a late result once, and only of a job that was waited for', async () => {
    const late = createInbox<string>();
    const id = ulid();
    receiver.expect(id, () => late.push('settled'));
    receiver.forget(id, () => late.push('late'));
    receiver.forget('never expected', () => late.push('stranger'));
    await publish(id, 1);
    await publish(id, 1);
    await publish('never expected', 1);
    const last = ulid();
    const outcome = expectResult(last);
    await publish(last, 1);
    await outcome;
    expect(late.items).to.deep.equal(['late']);
  });

  it('carries large tensors under their own key and removes it', async () => {
    const values = Array.from({ length: 5000 }, (_, i) => i);
    const id = ulid();
    const outcome = expectResult(id);
    await publish(id, ...values);
    expect(valuesOf(await outcome)).to.deep.equal(values);
    // Sent behind the removal, on the same connection.
    expect(await redis.exists(keys.resultTensors(receiver.replyTo, id))).to.equal(0);
  });

  it('says so when large tensors are gone, and when a frame is of another version', async () => {
    const id = ulid();
    const { frame } = encodeResult(sampleResult({ id }), 0);
    const gone = expectResult(id);
    await redis.publish(keys.resultChannel(receiver.replyTo), frame);
    const first = await gone;
    expect(first.kind === 'unreadable' && first.error.code).to.equal('service_unavailable');

    const newer = encodeResult(sampleResult({ id: 'newer' }), inlineBytesMax).frame;
    newer.writeUInt8(9, 0);
    const refused = expectResult('newer');
    await redis.publish(keys.resultChannel(receiver.replyTo), newer);
    const second = await refused;
    expect(second.kind === 'unreadable' && second.error.message).to.include('schema version 9');
  });

  it('removes what it has received, in lots', async () => {
    const ids = Array.from({ length: acknowledgeCountMax }, () => ulid());
    const outcomes = ids.map(expectResult);
    await Promise.all(ids.map((id) => publish(id, 1)));
    await Promise.all(outcomes);
    expect(await keptCount()).to.equal(0);
  });

  it('keeps a bounded number of results for a process that no longer reads, for a bounded time', async () => {
    const gone = ulid();
    const lots = Array.from({ length: keptMax + 50 }, () => publisher.publish(gone, sampleResult()));
    await Promise.all(lots);
    expect(await redis.hlen(keys.resultHash(gone))).to.equal(keptMax);
    expect(await redis.pttl(keys.resultHash(gone))).to.be.within(1, 60_000);
  });

  it('reads back what was published while its subscription was cut', async () => {
    const [missed, stale] = [ulid(), ulid()];
    const outcome = expectResult(missed);
    subscriber.disconnect();
    await nextEvent(subscriber, 'end');
    expect(receiver.connected).to.equal(false);
    await publish(missed, 7);
    await publish(stale, 8);
    await subscriber.connect();
    expect(valuesOf(await outcome)).to.deep.equal([7]);
    expect(receiver.connected).to.equal(true);
    expect(await keptCount()).to.equal(0);
  });

  it('loses no answer while Redis keeps cutting its subscribers', async () => {
    const admin = await connect('command', server.url);
    for (let round = 0; round < 5; round++) {
      const ids = Array.from({ length: 20 }, () => ulid());
      const outcomes = ids.map(expectResult);
      await Promise.all([
        ...ids.slice(0, 10).map((id, i) => publish(id, i)),
        admin.client('KILL', 'TYPE', 'PUBSUB'),
        ...ids.slice(10).map((id, i) => publish(id, i + 10)),
      ]);
      const values = (await Promise.all(outcomes)).map((outcome) => valuesOf(outcome)[0]);
      expect(values).to.deep.equal(ids.map((_, i) => i));
    }
  });

  it('finds a result whose message was lost on a connection that looks healthy, and replaces that', async () => {
    const faults = createInbox<FaultEvent>();
    const listen = (event: unknown): void => faults.push(event as FaultEvent);
    channels.fault.subscribe(listen);
    const id = ulid();
    const outcome = expectResult(id);
    const { frame } = encodeResult(sampleResult({ id, tensors: rows(5) }), inlineBytesMax);
    const replaced = nextEvent(subscriber, 'ready');
    await redis.hset(keys.resultHash(receiver.replyTo), id, frame);
    expect(valuesOf(await outcome)).to.deep.equal([5]);
    await replaced;
    channels.fault.unsubscribe(listen);
    expect(String(faults.items[0]?.error)).to.include('without their message');
  });

  it('keeps a connection whose message was merely on its way while the hash was read', async () => {
    const closed = createInbox<string>();
    subscriber.on('close', () => closed.push('closed'));
    const id = ulid();
    const outcome = expectResult(id);
    const { frame } = encodeResult(sampleResult({ id, tensors: rows(5) }), inlineBytesMax);
    const read = redis.hmgetBuffer.bind(redis);
    const hasRead = Promise.withResolvers<void>();
    redis.hmgetBuffer = (async (key: RedisKey, ...ids: string[]) => {
      const frames = await read(key, ...ids);
      const came = nextEvent(subscriber, 'messageBuffer');
      await redis.publish(keys.resultChannel(receiver.replyTo), frame);
      await came;
      hasRead.resolve();
      return frames;
    }) as typeof redis.hmgetBuffer;
    await redis.hset(keys.resultHash(receiver.replyTo), id, frame);
    expect(valuesOf(await outcome)).to.deep.equal([5]);
    await hasRead.promise;
    const next = ulid();
    const nextOutcome = expectResult(next);
    await publish(next, 6);
    expect(valuesOf(await nextOutcome)).to.deep.equal([6]);
    expect(closed.items).to.deep.equal([]);
  });

  it('goes on after Redis was killed, and finds what was kept', async () => {
    const [before, after] = [ulid(), ulid()];
    subscriber.disconnect();
    await nextEvent(subscriber, 'end');
    await publish(before, 1);
    const closed = nextEvent(redis, 'close');
    await server.kill();
    await closed;
    const refusal = await rejectionOf(publish(ulid(), 2));
    expect(refusal).to.include({ code: 'service_unavailable' });
    const outcomes = [before, after].map(expectResult);
    await server.restart();
    await subscriber.connect();
    expect(valuesOf(await outcomes[0])).to.deep.equal([1]);
    await publishUntilTaken(() => publish(after, 3));
    expect(valuesOf(await outcomes[1])).to.deep.equal([3]);
  });
});

/** The publisher's own connection may come back a little later than the others. */
async function publishUntilTaken(publishOnce: () => Promise<void>): Promise<void> {
  for (;;) {
    try {
      // oxlint-disable-next-line no-await-in-loop
      return await publishOnce();
    } catch {
      // oxlint-disable-next-line no-await-in-loop
      await new Promise((resolve) => setImmediate(resolve));
    }
  }
}
