import { expect } from 'chai';
import { createChunkStore } from '../../../src/queues/batch/redis-chunk-store.ts';
import { FolderArtifactStore } from '../../../src/registry/folder-artifact-store.ts';
import { codeOf } from '../../contracts/store.ts';
import { useFolder } from '../../registry/folder.ts';
import { closeConnections } from '../builders.ts';
import { makeLedgerRig, outcomeOf } from './support/ledger-rig.ts';
import { untilTrue } from './support/until.ts';

describe('RedisChunkStore', () => {
  const folder = useFolder();
  afterEach(closeConnections);

  it('keeps small batches in Redis and the rest of large ones as artifacts, removed with the batch', async () => {
    const rig = await makeLedgerRig();
    const { ledger } = rig;
    const artifacts = new FolderArtifactStore(folder());
    const store = createChunkStore({ ...rig, artifacts, redisBytesMax: 10 });
    const id = await rig.upload(0, { retentionMs: 1 });
    const contents = ['12345', '67890', 'more'].map((text) => Buffer.from(text));
    let redisBytes = 0;
    for (const [index, bytes] of contents.entries()) {
      // oxlint-disable-next-line no-await-in-loop
      const input = await store.place(id, bytes, redisBytes);
      expect(input.kind).to.equal(index < 2 ? 'redis' : 'artifact');
      if (input.kind === 'redis') redisBytes += bytes.length;
      // oxlint-disable-next-line no-await-in-loop
      await ledger.addChunk(id, {
        index,
        firstRow: 10 * index,
        rowCount: 10,
        refusedCount: 0,
        input,
      });
    }
    const refs = await ledger.claim('default', 8);
    const read: string[] = [];
    for (const ref of refs) {
      // oxlint-disable no-await-in-loop
      const work = await ledger.begin(ref);
      if (work.kind !== 'run') throw new Error('nothing to run');
      const bytes = (await store.readInput(ref, work.input))!;
      read.push(Buffer.from(bytes).toString());
      const result = await store.place(id, Buffer.concat([Buffer.from('of '), bytes]), work.redisBytes);
      await ledger.settle(ref, outcomeOf(ref, { result }));
      // Not needed any more.
      if (work.input.kind === 'redis') expect(await store.readInput(ref, work.input)).to.equal(undefined);
      // oxlint-enable no-await-in-loop
    }
    expect(read).to.deep.equal(contents.map(String));
    const chunks = await ledger.chunks(id, 0, 3);
    const results = await Promise.all(
      chunks.map(({ index, result }) => store.readResult({ batchId: id, index }, result!)),
    );
    expect(results.map((bytes) => Buffer.from(bytes!).toString())).to.deep.equal([
      'of 12345',
      'of 67890',
      'of more',
    ]);
    const places = chunks.map(({ result }) => result?.kind);
    expect(places[0]).to.equal('artifact');
    await ledger.seal(id, 30);
    await untilTrue(async () => (await ledger.get(id)) === undefined);
    const digests = (await ledger.forgetExpired(10)).garbage?.digests ?? [];
    expect(digests).to.have.length(1 + places.filter((kind) => kind === 'artifact').length);
    await Promise.all(digests.map((digest) => store.remove(digest)));
    const present = await Promise.all(digests.map((digest) => artifacts.has(digest)));
    expect(present).to.deep.equal(digests.map(() => false));
    // oxlint-disable-next-line no-await-in-loop
    for (const { result } of chunks)
      expect(await store.readResult({ batchId: id, index: 0 }, result!)).to.equal(undefined);
  });

  it('puts no artifact for a batch that there is not', async () => {
    const rig = await makeLedgerRig();
    const artifacts = new FolderArtifactStore(folder());
    const store = createChunkStore({ ...rig, artifacts, redisBytesMax: 0 });
    expect(await codeOf(store.place('batch_none', Buffer.from('x'), 0))).to.equal('not_found');
  });
});
