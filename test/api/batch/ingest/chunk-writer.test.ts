import { expect } from 'chai';
import { ChunkWriter } from '../../../../src/api/batch/ingest/chunk-writer.ts';
import type { ChunkWriterOptions } from '../../../../src/api/batch/ingest/chunk-writer.ts';
import type { BatchRecord, NewBatch } from '../../../../src/queues/batch/batch.ts';
import type { ChunkInput } from '../../../../src/queues/batch/chunk.ts';

const batch: NewBatch = {
  id: 'batch_01K8Y0000000000000000000AA',
  owner: 'key_a',
  model: 'wine',
  version: 'v1.0.0',
  servedDigest: 'a'.repeat(64),
  pool: 'default',
  render: { returnProbability: false, topK: null, outputs: null },
  webhook: null,
  retryOf: null,
  retentionMs: 60_000,
};

/** One row that was refused for a reason of a million characters. */
const refused: ChunkInput = {
  firstRow: 0,
  rowCount: 1,
  ids: null,
  lines: null,
  refusals: [{ row: 0, error: { code: 'invalid_input', message: 'x'.repeat(1e6) }, retryable: false }],
  tensors: new Map(),
};

function start() {
  const calls: string[] = [];
  const ledger: ChunkWriterOptions['ledger'] = {
    create: async () => void calls.push('create'),
    addChunk: async (_id, { index }) => void calls.push(`chunk ${index}`),
    seal: async (_id, rowsTotal) => {
      calls.push(`seal ${rowsTotal}`);
      return {} as BatchRecord;
    },
  };
  const { signal } = new AbortController();
  const store: ChunkWriterOptions['store'] = { place: async (_id, bytes) => ({ kind: 'redis', bytes }) };
  const writer = new ChunkWriter({
    ledger,
    store,
    feed: () => undefined,
    batch,
    openMax: 1,
    holdsAll: true,
    signal,
  });
  return { writer, calls };
}

describe('chunks of a body that is held', () => {
  it('are written once the body is whole', async () => {
    const { writer, calls } = start();
    for (let n = 0; n < 3; n += 1) writer.put(refused);
    await writer.room();
    expect(writer.isBegun).to.equal(false);
    await writer.end(3);
    expect(calls).to.deep.equal(['create', 'chunk 0', 'chunk 1', 'chunk 2', 'seal 3']);
  });

  it('are not written when the body turns out to be wrong', async () => {
    const { writer, calls } = start();
    writer.put(refused);
    await writer.settle();
    expect(writer.isBegun).to.equal(false);
    expect(calls).to.deep.equal([]);
  });

  it('are written before where they would take more memory than the body', async () => {
    const { writer, calls } = start();
    for (let n = 0; n < 40; n += 1) {
      writer.put(refused);
      await writer.room();
      expect(writer.heldBytes).to.be.below(20_000_000);
    }
    expect(writer.isBegun).to.equal(true);
    await writer.end(40);
    expect(calls).to.have.length(42);
  });
});
