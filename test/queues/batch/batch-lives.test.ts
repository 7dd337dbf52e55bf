import { expect } from 'chai';
import { digestsKeptMs, graceMs, idleMsMax, nameKeptMs } from '../../../src/queues/batch/ledger-scripts.ts';
import { createChunkStore } from '../../../src/queues/batch/redis-chunk-store.ts';
import { FolderArtifactStore } from '../../../src/registry/folder-artifact-store.ts';
import { codeOf } from '../../contracts/store.ts';
import { useFolder } from '../../registry/folder.ts';
import { startRedis } from '../../support/redis-server.ts';
import { closeConnections } from '../builders.ts';
import {
  chunkOf,
  makeLedgerRig,
  newBatch,
  outcomeOf,
  rowsPerChunk,
  uploadLeaseMs,
} from './support/ledger-rig.ts';
import type { LedgerRig } from './support/ledger-rig.ts';
import { untilTrue } from './support/until.ts';

/** Remaining lives of all keys of a rig; -1 for one that would stay for ever. */
async function livesOf({ redis, keys }: LedgerRig): Promise<Map<string, number>> {
  const names = await redis.keys(`${keys.batches}*`);
  const lives = await Promise.all(names.map(async (name) => [name, await redis.pttl(name)] as const));
  return new Map(lives.map(([name, ms]) => [name.slice(keys.batches.length + 1), ms]));
}

describe('how long batches are kept', () => {
  const folder = useFolder();
  afterEach(closeConnections);

  it('bounds the life of every key, in every state', async () => {
    const rig = await makeLedgerRig();
    const { ledger } = rig;
    const artifact = { kind: 'artifact', digest: 'a'.repeat(64) } as const;
    const open = await rig.upload(2);
    const sealed = await rig.submit(3);
    const ended = await rig.submit(1, { owner: 'key:two' });
    await rig.submit(1, { owner: 'key:three' }).then((id) => ledger.cancel(id));
    const refs = await ledger.claim('default', 4);
    for (const ref of refs) {
      // oxlint-disable-next-line no-await-in-loop
      await ledger.begin(ref);
      if (ref.batchId !== open)
        // oxlint-disable-next-line no-await-in-loop
        await ledger.settle(
          ref,
          outcomeOf(ref, { result: ref.index === 0 ? outcomeOf(ref).result : artifact }),
        );
    }
    const lives = await livesOf(rig);
    expect([...lives].filter(([, ms]) => ms < 0)).to.deep.equal([]);
    const slackMs = 3_600_000 + 60_000;
    const near = (name: string, ms: number): void => {
      expect(lives.get(name), name).to.be.within(ms - slackMs, ms);
    };
    for (const part of ['', ':chunks', ':waiting', ':inputs']) {
      near(`${sealed}${part}`, idleMsMax + graceMs);
      if (part !== ':waiting') near(`${open}${part}`, uploadLeaseMs + graceMs);
    }
    for (const part of ['', ':chunks', ':results']) near(`${ended}${part}`, 60_000 + graceMs);
    near(`${ended}:ended`, 60_000 + nameKeptMs);
  });

  it('fails an upload of which nothing comes any more, and no other', async () => {
    const { ledger, upload, submit, redis, keys } = await makeLedgerRig(undefined, 1);
    const lost = await upload(2);
    const complete = await submit(1);
    await untilTrue(async () => (await ledger.failAbandoned()).includes(lost));
    const failed = await ledger.get(lost);
    expect(failed).to.include({ status: 'failed' });
    expect(failed?.failure?.code).to.equal('request_timeout');
    expect(await ledger.failAbandoned()).to.deep.equal([]);
    expect(await ledger.get(complete)).to.include({ status: 'queued' });
    expect(await ledger.endings(10)).to.deep.equal([lost]);
    // What is left of a batch whose keys are gone is cleared away.
    const gone = await upload(1, { owner: 'key:two' });
    await redis.del(`${keys.batches}:${gone}`);
    await untilTrue(async () => {
      await ledger.failAbandoned();
      return (await ledger.openCount('key:two')) === 0;
    });
    expect((await ledger.list(null, null, 10)).batches.map(({ id }) => id)).to.deep.equal([complete, lost]);
    await ledger.cancel(complete);
    expect(await ledger.pools()).to.deep.equal([]);
  });

  it('keeps the lease of an upload that is touched, and its place in the lists', async () => {
    const { ledger, redis, keys, upload } = await makeLedgerRig();
    const id = await upload(1);
    const lists = [`${keys.batches}:list`, `${keys.batches}:list:key:one`];
    // As if the last batch had been made a week ago.
    await Promise.all(lists.map((list) => redis.pexpire(list, graceMs)));
    const leases = `${keys.batches}:leases`;
    const [member, first] = await redis.zrange(leases, 0, '-1', 'WITHSCORES');
    expect(member).to.equal(`${id}:default:key:one`);
    await untilTrue(async () => {
      await ledger.touch(id);
      return Number(await redis.zscore(leases, member!)) > Number(first);
    });
    expect(await ledger.get(id)).to.include({ revision: 2 });
    // oxlint-disable-next-line no-await-in-loop
    for (const list of lists) expect(await redis.pttl(list)).to.be.greaterThan(idleMsMax);
  });

  it('keeps no upload for the work that goes on in it', async () => {
    const { ledger, redis, keys, upload } = await makeLedgerRig();
    const id = await upload(2);
    const leases = `${keys.batches}:leases`;
    // Long ago.
    await redis.zadd(leases, 'XX', 1, `${id}:default:key:one`);
    const [first, second] = await ledger.claim('default', 2);
    await ledger.begin(first!);
    await ledger.settle(first!, outcomeOf(first!));
    await ledger.pause(id);
    await ledger.begin(second!);
    expect(await ledger.failAbandoned()).to.deep.equal([id]);
  });

  it('fails a batch that stood still for a week', async () => {
    const { ledger, redis, keys, submit } = await makeLedgerRig();
    const id = await submit(1);
    await redis.zadd(`${keys.batches}:leases`, 'XX', 1, `${id}:default:key:one`);
    expect(await ledger.failAbandoned()).to.deep.equal([id]);
    expect((await ledger.get(id))?.failure?.code).to.equal('timeout');
  });

  it('forgets what has expired, says that it was there, and hands out its artifacts until they are removed', async () => {
    const rig = await makeLedgerRig();
    const { ledger, redis, keys } = rig;
    const id = await rig.submit(2, { retentionMs: 1 });
    const kept = await rig.submit(0);
    const digests = Array.from({ length: 5 }, (_, index) => String(index).repeat(64));
    await redis.rpush(`${keys.batches}:${id}:digests`, ...digests);
    await ledger.cancel(id);
    await untilTrue(async () => (await ledger.get(id)) === undefined);
    expect(await ledger.hasExpired(id)).to.equal(true);
    expect(await ledger.hasExpired(kept)).to.equal(false);
    expect((await ledger.list('key:one', null, 10)).batches.map((batch) => batch.id)).to.deep.equal([kept]);
    expect(await codeOf(ledger.cancel(id))).to.equal('not_found');
    const garbage = async (batchCount = 0): Promise<readonly string[] | undefined> => {
      const forgotten = await ledger.forgetExpired(3);
      expect(forgotten.batchCount).to.equal(batchCount);
      expect(forgotten.garbage?.batchId).to.be.oneOf([id, undefined]);
      return forgotten.garbage?.digests;
    };
    expect(await garbage(1)).to.deep.equal(digests.slice(0, 3));
    expect(await garbage()).to.deep.equal(digests.slice(0, 3));
    await ledger.removed(id, digests.slice(1, 3), []);
    expect(await garbage()).to.deep.equal(digests.slice(0, 3));
    await ledger.removed(id, digests.slice(0, 3), digests.slice(1, 2));
    expect(await garbage()).to.deep.equal([...digests.slice(3), digests[1]]);
    await ledger.removed(id, [...digests.slice(3), digests[1]!], digests.slice(1, 2));
    expect((await livesOf(rig)).get(`garbage:${id}`)).to.be.greaterThan(graceMs);
    expect(await garbage()).to.deep.equal(digests.slice(1, 2));
    await ledger.removed(id, digests.slice(1, 2), []);
    expect(await garbage()).to.equal(undefined);
    const left = [...(await livesOf(rig)).keys()].filter(
      (name) => name.includes(id) || name.includes('garbage'),
    );
    expect(left).to.deep.equal([`${id}:ended`]);
    expect(await ledger.endings(10)).to.deep.equal([kept]);
    expect(await ledger.hasExpired(id)).to.equal(true);
  });

  it('knows the artifacts of a batch whose keys have all expired because nobody swept', async () => {
    const rig = await makeLedgerRig(undefined, 1);
    const { ledger, redis, keys } = rig;
    const store = createChunkStore({
      ...rig,
      artifacts: new FolderArtifactStore(folder()),
      redisBytesMax: 0,
    });
    const expected: string[] = [];
    const found: string[] = [];
    const ids = [await rig.upload(1), await rig.submit(1, { retentionMs: 1 })];
    for (const id of ids) {
      // oxlint-disable no-await-in-loop
      const input = await store.place(id, Buffer.from(`input of ${id}`), 0);
      if (input.kind === 'artifact') expected.push(input.digest);
      if (id === ids[1]) await ledger.cancel(id);
      const lives = await livesOf(rig);
      expect(lives.get(`${id}:digests`)! - lives.get(id)!).to.be.within(digestsKeptMs - 5000, digestsKeptMs);
      for (const line of ['leases', 'expiring'])
        expect(lives.get(line) ?? Infinity, line).to.be.greaterThan(digestsKeptMs);
      // As if its life were over.
      for (const part of ['', ':chunks', ':waiting', ':inputs', ':lane'])
        await redis.unlink(`${keys.batches}:${id}${part}`);
      // oxlint-enable no-await-in-loop
    }
    await untilTrue(async () => {
      await ledger.failAbandoned();
      const { garbage } = await ledger.forgetExpired(10);
      if (garbage !== null) await ledger.removed(garbage.batchId, garbage.digests, []);
      found.push(...(garbage?.digests ?? []));
      return found.length === 2;
    });
    expect(found).to.have.members(expected);
  });

  it('finds chunks that came into no lane, the oldest first, and lets go those that nobody wants', async () => {
    const { ledger, redis, keys, submit } = await makeLedgerRig();
    const wanted = await submit(3);
    const gone = await submit(1, { owner: 'key:two' });
    const refs = await ledger.claim('default', 10);
    expect(refs).to.have.length(4);
    expect(await ledger.lostChunks('default', 60_000, 10)).to.deep.equal([]);
    await redis.del(`${keys.batches}:${gone}`);
    const names = [0, 1, 2].map((index) => ({ batchId: wanted, index }));
    await untilTrue(async () => (await ledger.lostChunks('default', 1, 10)).length === 3);
    expect(await ledger.lostChunks('default', 1, 2)).to.deep.equal(names.slice(0, 2));
    await ledger.settle(names[2]!, outcomeOf(names[2]!));
    await ledger.reclaimed(names);
    expect(await ledger.lostChunks('default', 60_000, 10)).to.deep.equal([]);
    expect(await redis.zcard(`${keys.batches}:pool:default:lane`)).to.equal(2);
    expect(await redis.hgetall(`${keys.batches}:pool:default:counts`)).to.deep.equal({ 'key:one': '2' });
  });
});

describe('a ledger whose Redis forgets', () => {
  afterEach(closeConnections);

  it('goes on after a SCRIPT FLUSH', async () => {
    const server = await startRedis();
    const { ledger, redis } = await makeLedgerRig(server.url);
    const batch = newBatch();
    await ledger.create(batch);
    await redis.script('FLUSH');
    await ledger.addChunk(batch.id, chunkOf(0));
    await redis.script('FLUSH');
    expect(await ledger.seal(batch.id, rowsPerChunk)).to.include({ rowsReceived: rowsPerChunk });
    await server.stop();
  });

  it('says so after a FLUSHALL, and takes new batches', async () => {
    const server = await startRedis();
    const { ledger, redis, upload, submit } = await makeLedgerRig(server.url);
    const id = await upload(2);
    const refs = await ledger.claim('default', 1);
    await redis.flushall();
    expect(await codeOf(ledger.addChunk(id, chunkOf(2)))).to.equal('not_found');
    expect(await codeOf(ledger.seal(id, 20))).to.equal('not_found');
    expect(await ledger.begin(refs[0]!)).to.deep.equal({ kind: 'nothing', why: 'gone' });
    expect(await ledger.settle(refs[0]!, outcomeOf(refs[0]!))).to.equal('gone');
    await ledger.reclaimed(refs);
    expect(await redis.dbsize()).to.equal(0);
    await submit(1);
    expect(await ledger.claim('default', 1)).to.have.length(1);
    await server.stop();
  });

  it('ends what was accepted, and what is cancelled, when it is full; it takes nothing new', async () => {
    const server = await startRedis();
    const { ledger, redis, submit, upload } = await makeLedgerRig(server.url, 1);
    const [finished, cancelled, abandoned] = [await submit(1), await submit(1), await upload(1)];
    const [first] = await ledger.claim('default', 1);
    await redis.config('SET', 'maxmemory', '1');
    expect(await codeOf(ledger.create(newBatch()))).to.equal('service_unavailable');
    expect(await codeOf(ledger.addChunk(abandoned, chunkOf(1)))).to.equal('service_unavailable');
    expect((await ledger.begin(first!)).kind).to.equal('run');
    expect(await ledger.settle(first!, outcomeOf(first!))).to.equal('settled');
    expect(await ledger.get(finished)).to.include({ status: 'completed' });
    expect(await ledger.cancel(cancelled)).to.include({ status: 'cancelled' });
    await untilTrue(async () => (await ledger.failAbandoned()).includes(abandoned));
    await server.stop();
  });

  it('is out of reach without it, and has it all after a restart', async () => {
    const server = await startRedis(['--appendfsync', 'always']);
    const { ledger, redis, submit } = await makeLedgerRig(server.url);
    const id = await submit(2);
    const before = await ledger.get(id);
    await server.kill();
    // oxlint-disable-next-line no-await-in-loop
    for (const call of [() => ledger.get(id), () => ledger.claim('default', 1), () => ledger.endings(1)])
      expect(await codeOf(call())).to.equal('service_unavailable');
    await server.restart();
    await untilTrue(async () => (await redis.ping()) === 'PONG');
    expect(await ledger.get(id)).to.deep.equal(before);
    await server.stop();
  });
});
