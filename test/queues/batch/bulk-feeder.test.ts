import { expect } from 'chai';
import { channels } from '../../../src/channels.ts';
import type { FaultEvent } from '../../../src/channels.ts';
import type { ChunkRef } from '../../../src/queues/batch/batch.ts';
import { BulkFeeder } from '../../../src/queues/batch/bulk-feeder.ts';
import { collectEvents } from '../../workers/support/collect-events.ts';
import { closeConnections } from '../builders.ts';
import { createInbox } from '../inbox.ts';
import { makeLedgerRig } from './support/ledger-rig.ts';
import type { LedgerRig } from './support/ledger-rig.ts';

describe('BulkFeeder', () => {
  let rig: LedgerRig;
  let feeder: BulkFeeder;
  let broken: Error | undefined;
  const lane = createInbox<ChunkRef>();
  beforeEach(async () => {
    rig = await makeLedgerRig();
    broken = undefined;
    feeder = new BulkFeeder({
      ledger: rig.ledger,
      window: 300,
      lane: {
        add: (_pool, refs) => {
          if (broken !== undefined) return Promise.reject(broken);
          refs.forEach((ref) => lane.push(ref));
          return Promise.resolve();
        },
        missing: () => Promise.resolve([]),
      },
    });
  });
  afterEach(async () => {
    await feeder.close();
    closeConnections();
  });

  /** As one inbox serves all tests: what this one brought. */
  const brought = async (count: number): Promise<readonly ChunkRef[]> => {
    const before = lane.items.length;
    return (await lane.filled(before + count)).slice(before);
  };

  it('puts into the lane what has room, in as many claims as it takes', async () => {
    const id = await rig.submit(350);
    const refs = brought(300);
    feeder.feed('default');
    expect(await refs).to.deep.equal(Array.from({ length: 300 }, (_, index) => ({ batchId: id, index })));
  });

  it('feeds once more when it was called meanwhile, with one claim at a time', async () => {
    let claims = 0;
    let atOnce = 0;
    let atOnceMax = 0;
    const counting = new BulkFeeder({
      ledger: {
        ...rig.ledger,
        claim: async (pool, window) => {
          claims += 1;
          atOnceMax = Math.max(atOnceMax, ++atOnce);
          const refs = await rig.ledger.claim(pool, window);
          atOnce -= 1;
          return refs;
        },
      },
      window: 8,
      lane: {
        add: (_pool, refs) => Promise.resolve(refs.forEach((ref) => lane.push(ref))),
        missing: () => Promise.resolve([]),
      },
    });
    await rig.submit(1);
    const first = brought(1);
    for (let count = 0; count < 1000; count++) counting.feed('default');
    await first;
    await rig.submit(1);
    const second = brought(1);
    counting.feed('default');
    await second;
    await counting.close();
    expect(atOnceMax).to.equal(1);
    expect(claims).to.be.within(2, 6);
  });

  it('tells of a failure and brings what it had claimed by itself', async () => {
    const faults = collectEvents<FaultEvent>(channels.fault);
    const ids = [await rig.submit(1), await rig.submit(1, { owner: 'key:two' })];
    broken = new Error('the lane is out of reach');
    feeder.feed('default');
    const fault = await faults.next(({ component }) => component === 'bulk-feeder');
    faults.stop();
    expect(fault.error).to.equal(broken);
    expect(await rig.ledger.claim('default', 300)).to.deep.equal([]);
    const refs = brought(2);
    broken = undefined;
    expect(await refs).to.deep.equal(ids.map((batchId) => ({ batchId, index: 0 })));
  });

  it('does nothing once closed', async () => {
    await rig.submit(1);
    await feeder.close();
    feeder.feed('default');
    expect(await rig.ledger.claim('default', 1)).to.have.length(1);
  });
});
