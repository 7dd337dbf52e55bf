import { expect } from 'chai';
import type { BatchStatus } from '../../../src/queues/batch/batch.ts';
import { codeOf } from '../../contracts/store.ts';
import { closeConnections } from '../builders.ts';
import { chunkOf, makeLedgerRig, newBatch, outcomeOf, rowsPerChunk } from './support/ledger-rig.ts';
import { expectSoundLedger } from './support/ledger-invariants.ts';
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
    const [first, second] = await ledger.claim('default', 10);
    if (first === undefined || second === undefined) throw new Error('nothing to claim');
    expect([first, second]).to.deep.equal([0, 1].map((index) => ({ batchId: batch.id, index })));
    const work = await ledger.begin(first);
    const inRedis = chunkBytes(0) + chunkBytes(1);
    expect(work).to.deep.include({
      kind: 'run',
      input: { kind: 'redis' },
      rowCount: rowsPerChunk,
      redisBytes: inRedis,
    });
    expect(work.kind === 'run' && work.batch.status).to.equal('running');
    expect(await ledger.settle(first, outcomeOf(first))).to.equal('settled');
    expect(await ledger.settle(first, outcomeOf(first))).to.equal('duplicate');
    expect(await ledger.begin(first)).to.deep.equal({ kind: 'nothing', why: 'done' });
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
      revision: 7,
    });
    expect(ended?.expiresAtMs).to.equal((ended?.finishedAtMs ?? 0) + batch.retentionMs);
    expect(await ledger.endings(10)).to.deep.equal([batch.id]);
    await ledger.acknowledgeEnding(batch.id);
    expect(await ledger.endings(10)).to.deep.equal([]);
    expect(await ledger.openCount(batch.owner)).to.equal(0);
    expect(await ledger.pools()).to.deep.equal([]);
    expect(await ledger.chunks(batch.id, 0, 10)).to.deep.equal([
      stored(0, { result: { kind: 'redis' } }),
      stored(1, {
        rowCount: 3,
        input: { kind: 'redis' },
        result: { kind: 'redis' },
        rowsFailed: 2,
        rowsRetryable: 1,
      }),
    ]);
  });

  it('takes each chunk once, in order, until it is sealed', async () => {
    const { ledger } = rig;
    const id = await rig.upload(2);
    await ledger.addChunk(id, chunkOf(1, { rowCount: 99 }));
    expect(await ledger.get(id)).to.include({ rowsReceived: 2 * rowsPerChunk, chunksReceived: 2 });
    // As after a rollback of Redis.
    expect(await codeOf(ledger.addChunk(id, chunkOf(3)))).to.equal('service_unavailable');
    expect(await codeOf(ledger.seal(id, 30))).to.equal('service_unavailable');
    const sealed = await ledger.seal(id, 20);
    expect(await ledger.seal(id, 20)).to.deep.equal(sealed);
    await ledger.addChunk(id, chunkOf(1));
    expect(await codeOf(ledger.addChunk(id, chunkOf(2)))).to.equal('conflict');
    expect(await ledger.get(id)).to.deep.equal(sealed);
  });

  it('ends a batch with nothing to run as it is sealed', async () => {
    const { ledger } = rig;
    const empty = await rig.submit(0);
    expect(await ledger.get(empty)).to.include({ status: 'completed', rowsTotal: 0 });
    const id = await rig.upload(0);
    const settled = { kind: 'redis', bytes: Buffer.from('refused') } as const;
    await ledger.addChunk(id, chunkOf(0, { refusedCount: rowsPerChunk, settled }));
    expect(await ledger.claim('default', 1)).to.deep.equal([]);
    expect(await ledger.seal(id, rowsPerChunk)).to.include({ status: 'completed', rowsFailed: rowsPerChunk });
    expect(await ledger.chunks(id, 0, 1)).to.deep.equal([
      stored(0, { result: { kind: 'redis' }, rowsFailed: rowsPerChunk }),
    ]);
  });

  it('takes no result whose rows do not add up', async () => {
    const { ledger } = rig;
    const id = await rig.submit(1);
    const ref = { batchId: id, index: 0 };
    // oxlint-disable-next-line no-await-in-loop
    for (const over of [{ rowsSucceeded: 9 }, { rowsFailed: 1 }, { rowsRetryable: 1 }])
      expect(await codeOf(ledger.settle(ref, outcomeOf(ref, over)))).to.equal('internal_error');
    expect(await ledger.settle(ref, outcomeOf(ref))).to.equal('settled');
    expect(await ledger.settle({ batchId: id, index: 1 }, outcomeOf(ref))).to.equal('gone');
  });

  it('discards an upload that nobody heard of, and nothing else', async () => {
    const { ledger } = rig;
    const broken = await rig.upload(2);
    const ref = { batchId: broken, index: 0 };
    await ledger.discard(broken);
    expect(await ledger.get(broken)).to.equal(undefined);
    expect(await ledger.hasExpired(broken)).to.equal(true);
    expect(await codeOf(ledger.addChunk(broken, chunkOf(2)))).to.equal('not_found');
    expect(await ledger.begin(ref)).to.deep.equal({ kind: 'nothing', why: 'gone' });
    expect(await ledger.settle(ref, outcomeOf(ref))).to.equal('gone');
    const failed = await rig.upload(1);
    await ledger.fail(failed, { code: 'request_timeout', message: '' });
    await ledger.discard(failed);
    const sealed = await rig.submit(1);
    await ledger.discard(sealed);
    await ledger.discard('batch_none');
    expect((await ledger.list(null, null, 10)).batches.map(({ id }) => id)).to.deep.equal([sealed]);
    expect(await ledger.endings(10)).to.deep.equal([]);
    expect(await ledger.openCount('key:one')).to.equal(1);
    expect(await ledger.claim('default', 10)).to.deep.equal([{ batchId: sealed, index: 0 }]);
    await ledger.forgetExpired(10);
    expect(await rig.redis.keys(`*${broken}*`)).to.deep.equal([`${rig.keys.batches}:${broken}:ended`]);
  });

  it('says where there is no batch', async () => {
    const { ledger } = rig;
    const id = 'batch_none';
    const ref = { batchId: id, index: 0 };
    expect(await ledger.get(id)).to.equal(undefined);
    expect(await ledger.hasExpired(id)).to.equal(false);
    // oxlint-disable-next-line no-await-in-loop
    for (const call of [
      () => ledger.addChunk(id, chunkOf(0)),
      () => ledger.touch(id),
      () => ledger.seal(id, 0),
      () => ledger.chunks(id, 0, 1),
      () => ledger.chunkOfRow(id, 0),
      () => ledger.cancel(id),
      () => ledger.fail(id, { code: 'timeout', message: '' }),
      () => ledger.pause(id),
      () => ledger.resume(id),
    ])
      expect(await codeOf(call())).to.equal('not_found');
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
      expect(ended?.failure).to.deep.equal(status === 'failed' ? { code: 'timeout', message: 'why' } : null);
      const ref = { batchId: id, index: 0 };
      expect(await ledger.cancel(id)).to.deep.equal(ended);
      expect(await ledger.fail(id, { code: 'timeout', message: 'other' })).to.deep.equal(ended);
      expect(await ledger.seal(id, 7)).to.deep.equal(ended);
      // oxlint-disable-next-line no-await-in-loop
      for (const call of [
        () => ledger.addChunk(id, chunkOf(2)),
        () => ledger.touch(id),
        () => ledger.pause(id),
        () => ledger.resume(id),
      ])
        expect(await codeOf(call())).to.equal('conflict');
      expect(await ledger.wanted(id)).to.equal(false);
      expect(await ledger.claim('default', 10)).to.deep.equal([]);
      expect(await ledger.openCount('key:one')).to.equal(0);
      if (status !== 'completed') {
        expect(await ledger.begin(ref)).to.deep.equal({ kind: 'nothing', why: 'final' });
        expect(await ledger.settle(ref, outcomeOf(ref))).to.equal('final');
      }
      expect(await ledger.get(id)).to.deep.equal(ended);
    });

  for (const when of ['queued', 'running', 'paused'] as const)
    for (const status of ['failed', 'cancelled'] as const)
      it(`leads from ${when} to ${status}, and keeps what was settled`, async () => {
        const { ledger } = rig;
        const id = await rig.submit(4);
        const refs = await ledger.claim('default', 3);
        if (when !== 'queued') {
          await ledger.begin(refs[0]!);
          await ledger.settle(refs[0]!, outcomeOf(refs[0]!));
          await ledger.begin(refs[1]!);
        }
        if (when === 'paused') await ledger.pause(id);
        const record = await (status === 'failed'
          ? ledger.fail(id, { code: 'internal_error', message: 'broken' })
          : ledger.cancel(id));
        const settledCount = when === 'queued' ? 0 : 1;
        expect(record).to.include({ status, paused: false, chunksDone: settledCount });
        expect(await ledger.settle(refs[1]!, outcomeOf(refs[1]!))).to.equal('final');
        const chunks = await ledger.chunks(id, 0, 4);
        expect(chunks.filter(({ result }) => result !== null)).to.have.length(settledCount);
        expect(await rig.redis.exists(rig.keys.batchInputs(id))).to.equal(0);
        // Its places in the lane are free.
        await rig.submit(5);
        expect(await ledger.claim('default', 3)).to.have.length(3);
      });

  it('holds a paused batch: what waits is not claimed, what is in the lane is let go, what runs is settled', async () => {
    const { ledger } = rig;
    const id = await rig.submit(4);
    const [running, queued] = await ledger.claim('default', 2);
    await ledger.begin(running!);
    const paused = await ledger.pause(id);
    expect(paused).to.include({ paused: true, status: 'running' });
    expect(await ledger.pause(id)).to.deep.equal(paused);
    expect(await ledger.wanted(id)).to.equal(true);
    expect(await ledger.settle(running!, outcomeOf(running!))).to.equal('settled');
    expect(await ledger.claim('default', 2)).to.deep.equal([]);
    expect(await ledger.begin(queued!)).to.deep.equal({ kind: 'nothing', why: 'paused' });
    expect(await ledger.lostChunks('default', 0, 10)).to.deep.equal([]);
    expect(await ledger.resume(id)).to.include({ paused: false, status: 'running' });
    expect(await ledger.claim('default', 9)).to.deep.equal(
      [1, 2, 3].map((index) => ({ batchId: id, index })),
    );
  });

  it('settles a chunk that was put back while it ran, and runs one whose name came out of the lane late', async () => {
    const { ledger } = rig;
    const id = await rig.submit(2);
    const [one, two] = await ledger.claim('default', 2);
    await ledger.begin(one!);
    await ledger.pause(id);
    // Their names were in the lane twice.
    // oxlint-disable-next-line no-await-in-loop
    for (const ref of [one!, two!])
      expect(await ledger.begin(ref)).to.deep.equal({ kind: 'nothing', why: 'paused' });
    expect(await ledger.settle(one!, outcomeOf(one!))).to.equal('settled');
    await expectSoundLedger(rig);
    await ledger.resume(id);
    expect((await ledger.begin(two!)).kind).to.equal('run');
    await expectSoundLedger(rig);
    expect(await ledger.claim('default', 2)).to.deep.equal([]);
    expect(await ledger.settle(two!, outcomeOf(two!))).to.equal('settled');
    expect(await ledger.get(id)).to.include({ status: 'completed' });
    await expectSoundLedger(rig);
  });

  it('makes no more batches than an owner may have open, also of those that come at once', async () => {
    const { ledger } = rig;
    const batches = Array.from({ length: 10 }, () => newBatch({ owner: 'busy' }));
    const made = await Promise.all(
      batches.map((batch) =>
        ledger.create(batch, 3).then(
          () => true,
          ({ code }: { code: string }) => code,
        ),
      ),
    );
    expect(made.filter((each) => each === true)).to.have.length(3);
    expect(made.filter((each) => each === 'rate_limit_exceeded')).to.have.length(7);
    expect(await ledger.openCount('busy')).to.equal(3);
    const [first] = batches.filter((_, index) => made[index] === true);
    await ledger.create(first!, 3);
    await ledger.create(newBatch({ owner: 'other' }), 3);
    await ledger.cancel(first!.id);
    await ledger.create(newBatch({ owner: 'busy' }), 3);
    await expectSoundLedger(rig);
  });

  it('lists newest first, by owner or all, page by page', async () => {
    const { ledger } = rig;
    const ids: string[] = [];
    for (let count = 0; count < 7; count++) {
      const batch = newBatch({ owner: count % 2 === 0 ? 'even' : 'odd' });
      // oxlint-disable-next-line no-await-in-loop
      await ledger.create({ ...batch, id: `batch_0000000000000000000000000${count}` });
      ids.unshift(`batch_0000000000000000000000000${count}`);
    }
    const pages: string[][] = [];
    let after: string | null = null;
    do {
      // oxlint-disable-next-line no-await-in-loop
      const page: Awaited<ReturnType<typeof ledger.list>> = await ledger.list(null, after, 3);
      pages.push(page.batches.map(({ id }) => id));
      after = page.next;
    } while (after !== null);
    expect(pages).to.deep.equal([ids.slice(0, 3), ids.slice(3, 6), ids.slice(6)]);
    const odd = await ledger.list('odd', null, 3);
    expect(odd).to.deep.include({ next: null });
    expect(odd.batches.map(({ owner }) => owner)).to.deep.equal(['odd', 'odd', 'odd']);
    expect(await ledger.list('nobody', null, 3)).to.deep.equal({ batches: [], next: null });
    expect(await ledger.openCount('even')).to.equal(4);
  });

  it('finds the chunk of a row among those that have arrived', async () => {
    const { ledger } = rig;
    const id = await rig.upload(0);
    let firstRow = 0;
    const counts = [1, 7, 3, 3, 20, 1, 1];
    for (const [index, rowCount] of counts.entries()) {
      // oxlint-disable-next-line no-await-in-loop
      await ledger.addChunk(id, chunkOf(index, { firstRow, rowCount }));
      firstRow += rowCount;
    }
    const expected = counts.flatMap((rowCount, index) => Array.from({ length: rowCount }, () => index));
    const found = await Promise.all(expected.map((_, row) => ledger.chunkOfRow(id, row)));
    expect(found).to.deep.equal(expected);
    expect(await ledger.chunkOfRow(id, firstRow)).to.equal(undefined);
    expect((await ledger.chunks(id, 5, 10)).map(({ index }) => index)).to.deep.equal([5, 6]);
    expect(await ledger.chunks(id, 7, 10)).to.deep.equal([]);
  });
});

function chunkBytes(index: number): number {
  return `input ${index}`.length;
}

function stored(index: number, over: object): object {
  const firstRow = index * rowsPerChunk;
  const none = { input: null, result: null, rowsFailed: 0, rowsRetryable: 0 };
  return { index, firstRow, rowCount: rowsPerChunk, ...none, ...over };
}
