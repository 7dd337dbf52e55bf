import { expect } from 'chai';
import type { Redis } from 'ioredis';
import { createRedisBatchWatcher } from '../../../src/queues/batch/redis-batch-watcher.ts';
import type { ClosableBatchWatcher } from '../../../src/queues/batch/redis-batch-watcher.ts';
import { startRedis } from '../../support/redis-server.ts';
import type { TestRedis } from '../../support/redis-server.ts';
import { closeConnections, connect } from '../builders.ts';
import { createInbox } from '../inbox.ts';
import { chunkOf, makeLedgerRig } from './support/ledger-rig.ts';
import type { LedgerRig } from './support/ledger-rig.ts';
import { untilTrue } from './support/until.ts';

describe('RedisBatchWatcher', () => {
  let server: TestRedis;
  let rig: LedgerRig;
  let subscriber: Redis;
  let watcher: ClosableBatchWatcher;
  before(async () => {
    server = await startRedis();
  });
  after(() => server.stop());
  beforeEach(async () => {
    rig = await makeLedgerRig(server.url);
    subscriber = await connect('subscriber', server.url);
    watcher = createRedisBatchWatcher({ subscriber, keys: rig.keys });
  });
  afterEach(async () => {
    await watcher.close();
    closeConnections();
  });

  /** How often it was called, to be waited for. */
  const listen = (start: (listener: () => void) => () => void) => {
    const calls = createInbox<null>();
    return { stop: start(() => calls.push(null)), calls };
  };

  it('tells of each change of the watched batch, once it listens, and of no other', async () => {
    const [id, other] = [await rig.upload(0), await rig.upload(0)];
    const one = listen((listener) => watcher.watch(id, listener));
    const two = listen((listener) => watcher.watch(id, listener));
    await one.calls.filled(1);
    await two.calls.filled(1);
    const before = one.calls.items.length;
    await rig.ledger.addChunk(other, chunkOf(0));
    await rig.ledger.addChunk(id, chunkOf(0));
    await rig.ledger.pause(id);
    await one.calls.filled(before + 2);
    expect(one.calls.items).to.have.length(before + 2);
    one.stop();
    one.stop();
    const beforeLast = two.calls.items.length;
    await rig.ledger.resume(id);
    await two.calls.filled(beforeLast + 1);
    expect(one.calls.items).to.have.length(before + 2);
    two.stop();
    await untilTrue(async () => (await rig.redis.pubsub('NUMSUB', rig.keys.batchChannel(id)))[1] === 0);
  });

  it('tells of endings', async () => {
    const id = await rig.upload(0);
    const endings = listen((listener) => watcher.onEnding(listener));
    await endings.calls.filled(1);
    await rig.ledger.cancel(id);
    await endings.calls.filled(2);
    endings.stop();
  });

  it('calls after a reconnect, when changes may have been missed', async () => {
    const id = await rig.upload(0);
    const changes = listen((listener) => watcher.watch(id, listener));
    await changes.calls.filled(1);
    await server.kill();
    await server.restart();
    await changes.calls.filled(2);
    await untilTrue(async () => (await rig.redis.ping()) === 'PONG');
    const before = changes.calls.items.length;
    await rig.ledger.pause(id);
    await changes.calls.filled(before + 1);
  });
});
