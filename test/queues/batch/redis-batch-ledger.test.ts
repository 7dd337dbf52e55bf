import { expect } from 'chai';
import type { BatchStatus } from '../../../src/queues/batch/batch.ts';
import { codeOf } from '../../contracts/store.ts';
import { closeConnections } from '../builders.ts';
import { chunkOf, makeLedgerRig, newBatch, outcomeOf, rowsPerChunk } from './support/ledger-rig.ts';
import type { LedgerRig } from './support/ledger-rig.ts';

describe('RedisBatchLedger', () => {
  let rig: LedgerRig;
  beforeEach(async () => {
    rig = await makeLedgerRig();
  });
  afterEach(closeConnections);

  it('carries a batch from its first chunk to its end', async () => {
    const { ledger } = rig;
    const batch = newBatch();
    await ledger.create(batch);
    expect(await ledger.get(batch.id)).to.deep.include({
      ...batch,
      status: 'queued',
      paused: false,
      rowsTotal: null,
      rowsReceived: 0,
      startedAtMs: null,
      finishedAtMs: null,
      expiresAtMs: null,
      failure: null,
      revision: 1,
    });
    await ledger.addChunk(batch.id, chunkOf(0));
    await ledger.addChunk(batch.id, chunkOf(1, { rowCount: 3 }));
    expect(await ledger.claim('default', 10)).to.deep.equal([
      { batchId: batch.id, index: 0 },
      { batchId: batch.id, index: 1 },
    ]);
    const [first, second] = [0, 1].map((index) => ({ batchId: batch.id, index })) as [never, never];
    const work = await ledger.begin(first);
    expect(work).to.deep.include({ kind: 'run', input: { kind: 'redis' }, rowCount: rowsPerChunk });
    expect(work.kind === 'run' && work.batch.status).to.equal('running');
    expect(await ledger.settle(first, outcomeOf(first))).to.equal('settled');
    expect(await ledger.settle(first, outcomeOf(first))).to.equal('duplicate');
    expect((await ledger.begin(first)).kind).to.equal('nothing');
    expect(await ledger.seal(batch.id, rowsPerChunk + 3)).to.include({ status: 'running', rowsTotal: 13 });
    await ledger.begin(second);
    await ledger.settle(second, outcomeOf(second, { rowsSucceeded: 1, rowsFailed: 2, rowsRetryable: 1 }));
    const ended = await ledger.get(batch.id);
    expect(ended).to.include({
      status: 'completed',
      rowsTotal: 13,
      rowsSucceeded: 11,
      rowsFailed: 2,
      rowsRetryable: 1,
      chunksReceived: 2,
      chunksDone: 2,
    });
    expect(ended?.expiresAtMs).to.equal((ended?.finishedAtMs ?? 0) + batch.retentionMs);
    expect(await ledger.endings(10)).to.deep.equal([batch.id]);
    await ledger.acknowledgeEnding(batch.id);
    expect(await ledger.endings(10)).to.deep.equal([]);
    expect(await ledger.openCount(batch.owner)).to.equal(0);
    expect(await ledger.pools()).to.deep.equal([]);
  });

  it('says where a batch is none', async () => {
    const { ledger } = rig;
    const id = 'batch_none';
    const ref = { batchId: id, index: 0 };
    expect(await ledger.get(id)).to.equal(undefined);
    expect(await ledger.hasExpired(id)).to.equal(false);
    for (const call of [
      ledger.addChunk(id, chunkOf(0)),
      ledger.touch(id),
      ledger.seal(id, 0),
      ledger.chunks(id, 0, 1),
      ledger.chunkOfRow(id, 0),
      ledger.cancel(id),
      ledger.fail(id, { code: 'timeout', message: '' }),
      ledger.pause(id),
      ledger.resume(id),
    ])
      expect(await codeOf(call)).to.equal('not_found');
    expect(await ledger.begin(ref)).to.deep.equal({ kind: 'nothing', why: 'gone' });
    expect(await ledger.settle(ref, outcomeOf(ref))).to.equal('gone');
    expect(await ledger.wanted(id)).to.equal(false);
  });

  const finals: readonly BatchStatus[] = ['completed', 'failed', 'cancelled'];
  for (const status of finals)
    it(`leads nowhere from ${status}`, async () => {
      const { ledger } = rig;
      const id = await rig.upload(status === 'completed' ? 0 : 2);
      if (status === 'completed') await ledger.seal(id, 0);
      if (status === 'failed') await ledger.fail(id, { code: 'timeout', message: 'why' });
      if (status === 'cancelled') await ledger.cancel(id);
      const ended = await ledger.get(id);
      expect(ended?.status).to.equal(status);
      const ref = { batchId: id, index: 0 };
      expect(await ledger.cancel(id)).to.deep.equal(ended);
      expect(await ledger.fail(id, { code: 'timeout', message: 'other' })).to.deep.equal(ended);
      expect(await ledger.seal(id, 7)).to.deep.equal(ended);
      for (const call of [
        ledger.addChunk(id, chunkOf(2)),
        ledger.touch(id),
        ledger.pause(id),
        ledger.resume(id),
      ])
        expect(await codeOf(call)).to.equal('conflict');
      expect(await ledger.wanted(id)).to.equal(false);
      expect(await ledger.claim('default', 10)).to.deep.equal([]);
      if (status !== 'completed') {
        expect(await ledger.begin(ref)).to.deep.equal({ kind: 'nothing', why: 'final' });
        expect(await ledger.settle(ref, outcomeOf(ref))).to.equal('final');
      }
      expect(await ledger.get(id)).to.deep.equal(ended);
    });
});
