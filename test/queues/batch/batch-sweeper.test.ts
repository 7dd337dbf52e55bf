import { expect } from 'chai';
import { channels } from '../../../src/channels.ts';
import type { FaultEvent } from '../../../src/channels.ts';
import { chunkName } from '../../../src/queues/batch/batch-fields.ts';
import { BatchSweeper } from '../../../src/queues/batch/batch-sweeper.ts';
import { createBullmqBulkLane } from '../../../src/queues/batch/bullmq-bulk-lane.ts';
import { BulkFeeder } from '../../../src/queues/batch/bulk-feeder.ts';
import { createChunkStore } from '../../../src/queues/batch/redis-chunk-store.ts';
import { FolderArtifactStore } from '../../../src/registry/folder-artifact-store.ts';
import { useFolder } from '../../registry/folder.ts';
import { startRedis } from '../../support/redis-server.ts';
import { redisUrl } from '../../support/services.ts';
import { collectEvents } from '../../workers/support/collect-events.ts';
import { closeConnections, connect } from '../builders.ts';
import { chunkOf, makeLedgerRig, newBatch } from './support/ledger-rig.ts';
import { untilTrue } from './support/until.ts';

describe('BatchSweeper', () => {
  const folder = useFolder();
  const closings: (() => Promise<void>)[] = [];
  afterEach(async () => {
    // In this order: the sweeper uses the feeder, and that the lane.
    // oxlint-disable-next-line no-await-in-loop
    for (const close of closings.splice(0).toReversed()) await close();
    closeConnections();
  });

  const makeRig = async (url = redisUrl(), leaseMs = 30_000, sweepMs = 50) => {
    const rig = await makeLedgerRig(url, leaseMs);
    const producing = await connect('producer', url);
    const lane = createBullmqBulkLane({ redis: producing, keys: rig.keys, eventsKeptMax: 10, attempts: 3 });
    const artifacts = new FolderArtifactStore(folder());
    const chunks = createChunkStore({ ...rig, artifacts, redisBytesMax: 0 });
    const feeder = new BulkFeeder({ ledger: rig.ledger, lane, window: 4 });
    const options = { ...rig, lane, chunks, feeder, sweepMs };
    const sweeper = new BatchSweeper(options);
    closings.push(
      () => lane.close(),
      () => feeder.close(),
      () => sweeper.stop(),
    );
    return { ...rig, lane, chunks, artifacts, sweeper, options };
  };

  it('feeds what nobody fed, and puts back what came into no lane, but not what is there', async () => {
    const { ledger, lane, submit, sweeper, redis, keys } = await makeRig();
    const id = await submit(6);
    const refs = await ledger.claim('default', 3);
    await lane.add('default', refs.slice(0, 1));
    // As if they had been claimed long ago.
    const lanes = `${keys.batches}:pool:default:lane`;
    // oxlint-disable-next-line no-await-in-loop
    for (const ref of refs) await redis.zadd(lanes, 'XX', 1, `${chunkName(ref)}.key:one`);
    await sweeper.sweep();
    const all = Array.from({ length: 4 }, (_, index) => ({ batchId: id, index }));
    await untilTrue(async () => (await lane.missing('default', all)).length === 0);
    expect(await ledger.lostChunks('default', 60_000, 10)).to.deep.equal([]);
    const waiting = await redis.llen(`${keys.bullmq}:default.bulk:wait`);
    expect(waiting).to.equal(4);
  });

  it('ends uploads that broke off, and removes the artifacts of what has expired, one pass after the other', async () => {
    const { ledger, chunks, artifacts, sweeper } = await makeRig(redisUrl(), 1);
    const batch = newBatch({ retentionMs: 1 });
    await ledger.create(batch);
    const input = await chunks.place(batch.id, Buffer.from('input'), 0);
    await ledger.addChunk(batch.id, chunkOf(0, { input }));
    if (input.kind !== 'artifact') throw new Error('not an artifact');
    expect(await artifacts.has(input.digest)).to.equal(true);
    sweeper.start();
    await untilTrue(async () => !(await artifacts.has(input.digest)));
    expect(await ledger.hasExpired(batch.id)).to.equal(true);
    await untilTrue(async () => (await ledger.forgetExpired(10)).garbage === null);
  });

  it('forgets in one pass more than a round does, though nothing of it is in the artifact store', async () => {
    const { ledger, submit, sweeper, redis, keys } = await makeRig();
    for (let count = 0; count < 150; count += 1) {
      // oxlint-disable-next-line no-await-in-loop
      await submit(0, { retentionMs: 1 });
    }
    await untilTrue(async () => (await ledger.list(null, null, 1)).batches.length === 0);
    await sweeper.sweep();
    expect(await redis.exists(`${keys.batches}:list`, `${keys.batches}:expiring`)).to.equal(0);
  });

  it('removes the artifacts of a batch though one of another cannot be, tells of it and tries that again', async () => {
    const { options, ledger, chunks, artifacts } = await makeRig();
    const digests: string[] = [];
    for (const content of ['stuck', 'first', 'second']) {
      const batch = newBatch({ retentionMs: 1 });
      // oxlint-disable no-await-in-loop
      await ledger.create(batch);
      const place = await chunks.place(batch.id, Buffer.from(content), 0);
      if (place.kind === 'artifact') digests.push(place.digest);
      await ledger.cancel(batch.id);
      await untilTrue(async () => (await ledger.get(batch.id)) === undefined);
      // oxlint-enable no-await-in-loop
    }
    let isStuck = true;
    const remove = (digest: string): Promise<void> =>
      isStuck && digest === digests[0] ? Promise.reject(new Error('busy')) : artifacts.remove(digest);
    const sweeper = new BatchSweeper({ ...options, chunks: { ...chunks, remove } });
    const present = (): Promise<boolean[]> => Promise.all(digests.map((digest) => artifacts.has(digest)));
    const faults = collectEvents<FaultEvent>(channels.fault);
    await sweeper.sweep();
    faults.stop();
    expect(await present()).to.deep.equal([true, false, false]);
    const own = faults.events.filter(({ component }) => component === 'batch-sweeper');
    expect(own).to.have.length(1);
    expect(own[0]?.message).to.equal('An artifact of an expired batch could not be removed');
    isStuck = false;
    await sweeper.sweep();
    expect(await present()).to.deep.equal([false, false, false]);
  });

  it('lets one process make a pass', async () => {
    const { options, redis, keys } = await makeRig(redisUrl(), 30_000, 100);
    const passes: string[] = [];
    const sweepers = ['a', 'b', 'c'].map((name) => {
      const failAbandoned = (): Promise<readonly string[]> => {
        passes.push(name);
        return options.ledger.failAbandoned();
      };
      return new BatchSweeper({ ...options, ledger: { ...options.ledger, failAbandoned } });
    });
    // Somebody's turn lasts for ever: no pass, however often it is tried.
    await redis.set(keys.batchSweep, '');
    sweepers.forEach((sweeper) => sweeper.start());
    const sets = async (): Promise<number> => {
      const stats = await redis.info('commandstats');
      return Number(/^cmdstat_set:calls=(\d+)/m.exec(stats)?.[1]);
    };
    const before = await sets();
    await untilTrue(async () => (await sets()) >= before + 6);
    expect(passes).to.deep.equal([]);
    await redis.del(keys.batchSweep);
    await untilTrue(() => Promise.resolve(passes.length >= 3));
    await Promise.all(sweepers.map((sweeper) => sweeper.stop()));
  });

  it('publishes what it cannot do, and goes on with the rest', async () => {
    const server = await startRedis();
    const { sweeper } = await makeRig(server.url);
    const faults = collectEvents<FaultEvent>(channels.fault);
    await server.kill();
    await sweeper.sweep();
    faults.stop();
    const own = faults.events.filter(({ component }) => component === 'batch-sweeper');
    expect(own.map(({ message }) => message)).to.deep.equal([
      'The sweeper could not see to abandoned batches',
      'The sweeper could not see to lost chunks',
      'The sweeper could not see to expired batches',
    ]);
    await server.stop();
  });
});
