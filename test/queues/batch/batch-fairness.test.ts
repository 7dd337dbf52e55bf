import { expect } from 'chai';
import { claimedMax } from '../../../src/queues/batch/ledger-scripts.ts';
import { startRedis } from '../../support/redis-server.ts';
import { closeConnections } from '../builders.ts';
import { makeLedgerRig, outcomeOf } from './support/ledger-rig.ts';
import type { LedgerRig } from './support/ledger-rig.ts';

describe('whose turn it is in the bulk lane', () => {
  let rig: LedgerRig;
  beforeEach(async () => {
    rig = await makeLedgerRig();
  });
  afterEach(closeConnections);

  const claimedIds = async (window: number): Promise<string[]> =>
    (await rig.ledger.claim('default', window)).map(({ batchId }) => batchId);

  it('claims a late batch of another owner in the next claim, whatever waits before it', async () => {
    await rig.submit(500, { owner: 'first' });
    expect(await claimedIds(8)).to.have.length(8);
    expect(await claimedIds(8)).to.have.length(0);
    const late = await rig.submit(1, { owner: 'late' });
    expect(await claimedIds(8)).to.deep.equal([late]);
  });

  it('gives owners one chunk each in turn, and the batches of an owner likewise', async () => {
    const a = await rig.submit(4, { owner: 'a' });
    const b = await rig.submit(4, { owner: 'b' });
    const b2 = await rig.submit(4, { owner: 'b' });
    expect(await claimedIds(4)).to.deep.equal([a, b, a, b2, a, b, a, b2]);
  });

  it('keeps each owner to its window, and gives it the next chunk as one is settled', async () => {
    const { ledger } = rig;
    const id = await rig.submit(6);
    const refs = await ledger.claim('default', 2);
    expect(refs).to.have.length(2);
    for (const [count, ref] of refs.entries()) {
      // oxlint-disable-next-line no-await-in-loop
      await ledger.begin(ref);
      // oxlint-disable-next-line no-await-in-loop
      await ledger.settle(ref, outcomeOf(ref));
      // oxlint-disable-next-line no-await-in-loop
      expect(await ledger.claim('default', 2)).to.deep.equal([{ batchId: id, index: 2 + count }]);
    }
  });

  it('has a window for each worker that lives', async () => {
    await rig.submit(100);
    await rig.redis.zadd(rig.keys.workers, Date.now() + 60_000, 'one', Date.now() + 60_000, 'two');
    expect(await claimedIds(8)).to.have.length(16);
  });

  it('keeps pools apart', async () => {
    const other = await rig.submit(1, { pool: 'gpu' });
    const own = await rig.submit(1);
    expect(await rig.ledger.pools()).to.have.members(['default', 'gpu']);
    expect(await claimedIds(8)).to.deep.equal([own]);
    expect((await rig.ledger.claim('gpu', 8)).map(({ batchId }) => batchId)).to.deep.equal([other]);
  });

  it('takes what is put back before what comes after it', async () => {
    const { ledger } = rig;
    const id = await rig.submit(5);
    const [first] = await ledger.claim('default', 2);
    await ledger.pause(id);
    await ledger.begin(first!);
    await ledger.resume(id);
    expect(await ledger.claim('default', 2)).to.deep.equal([{ batchId: id, index: 0 }]);
  });

  it('bounds a claim, and serves every owner in the claims that follow', async () => {
    const owners = Array.from({ length: claimedMax + 10 }, (_, index) => `owner-${index}`);
    const ids = await Promise.all(owners.map((owner) => rig.submit(2, { owner })));
    const first = await claimedIds(8);
    expect(first).to.have.length(claimedMax);
    expect(new Set([...first, ...(await claimedIds(8))])).to.deep.equal(new Set(ids));
  });

  it('takes no more work over many batches and chunks than over few', async () => {
    // Of its own: it counts commands.
    const server = await startRedis();
    const { redis, ledger, submit } = await makeLedgerRig(server.url);
    const calls = async (step: () => Promise<unknown>): Promise<number> => {
      await redis.config('RESETSTAT');
      await step();
      const stats = await redis.info('commandstats');
      return [...stats.matchAll(/^cmdstat_(\w+):calls=(\d+)/gm)]
        .filter(([, name]) => name !== 'evalsha' && name !== 'config')
        .reduce((sum, [, , count]) => sum + Number(count), 0);
    };
    const cycle = async (id: string): Promise<number[]> => {
      const counts = [await calls(() => ledger.claim('default', 1))];
      const ref = { batchId: id, index: 0 };
      counts.push(await calls(() => ledger.begin(ref)));
      counts.push(await calls(() => ledger.settle(ref, outcomeOf(ref))));
      counts.push(await calls(() => ledger.openCount('key:one')));
      return counts;
    };
    const few = await submit(2);
    const base = await cycle(few);
    await ledger.cancel(few);
    // The first in its line, with many behind it.
    const many = await submit(1000);
    for (let count = 0; count < 50; count++)
      // oxlint-disable-next-line no-await-in-loop
      await Promise.all(Array.from({ length: 20 }, () => submit(1)));
    const large = await cycle(many);
    large.forEach((count, index) => expect(count).to.be.at.most(base[index]! + 8));
    await server.stop();
  });
});
