import { expect } from 'chai';
import { ulid } from 'ulid';
import type { BatchObject } from '../../../src/api/batch/batch-view.ts';
import type { DeadLetterObject } from '../../../src/api/batch/dead-letter-view.ts';
import { decodeChunkInput } from '../../../src/queues/batch/chunk.ts';
import type { DeadLetter } from '../../../src/queues/batch/batch-ledger.ts';
import { encodeTensors } from '../../../src/tensors/binary-codec.ts';
import { useBatchRig } from '../batch/support/batch-rig.ts';
import { wineInput } from '../batch/support/wine-chunks.ts';

type Input = { readonly input: Uint8Array };

interface LetterPage {
  readonly dead_letters: readonly DeadLetterObject[];
  readonly next_cursor: string | null;
  readonly links: { readonly next: string | null };
}

describe('dead letters over HTTP', () => {
  const rig = useBatchRig();
  const firstBatch = `batch_${ulid()}`;
  const secondBatch = `batch_${ulid()}`;

  const letter = (batchId: string, row: number, over: Partial<DeadLetter> = {}): DeadLetter & Input => ({
    id: ulid(),
    batchId,
    owner: rig().owner,
    model: 'wine',
    version: 'v1.2.3',
    servedDigest: 'e'.repeat(64),
    pool: 'default',
    render: { returnProbability: true, topK: null, outputs: null },
    row,
    rowId: `mine-${row}`,
    line: row + 1,
    error: { code: 'timeout', message: 'The run was too long' },
    inputDigest: 'a'.repeat(64),
    attempts: 3,
    atMs: Date.UTC(2026, 0, 1),
    ...over,
    input: encodeTensors(wineInput({ firstRow: row, rowCount: 1 }).tensors),
  });

  const call = async (method: string, path: string): Promise<Response> =>
    rig().api.request(`/api/v1/dead-letters${path}`, { method });
  const all = async (limit = 100): Promise<readonly DeadLetterObject[]> => {
    const letters: DeadLetterObject[] = [];
    let path: string | null = `?limit=${limit}`;
    while (path !== null) {
      const page = (await (await call('GET', path)).json()) as LetterPage;
      expect(page.dead_letters.length).to.be.at.most(limit);
      letters.push(...page.dead_letters);
      path = page.links.next?.replace('/api/v1/dead-letters', '') ?? null;
    }
    return letters;
  };
  const inputsOf = async (id: string): Promise<unknown> => {
    const inputs = [];
    for (const { index, input } of await rig().ledger.chunks(id, 0, 10)) {
      const ref = { batchId: id, index };
      const bytes = await rig().store.readInput(ref, input!);
      const { ids, lines, tensors } = decodeChunkInput(ref, bytes!);
      inputs.push({ ids, lines, shape: tensors.get('X')?.shape, first: tensors.get('X')?.data[0] });
    }
    return inputs;
  };

  beforeEach(async () => {
    await rig().letters.remove((await rig().letters.list(null, 100)).letters.map(({ id }) => id));
    await rig().letters.add([
      letter(firstBatch, 7),
      letter(firstBatch, 2, { rowId: null, line: null }),
      letter(secondBatch, 4, { model: 'penguins', owner: 'somebody' }),
    ]);
  });

  it('shows them newest first, in pages to the end', async () => {
    const letters = await all(2);
    expect(letters.map(({ batch_id: batchId, row }) => [batchId, row])).to.deep.equal([
      [secondBatch, 4],
      [firstBatch, 2],
      [firstBatch, 7],
    ]);
    const { id, links, ...rest } = letters[2]!;
    expect(links).to.deep.equal({
      batch: `/api/v1/batch/${firstBatch}`,
      replay: `/api/v1/dead-letters/${id}/replay`,
    });
    expect(rest).to.deep.equal({
      batch_id: firstBatch,
      row: 7,
      row_id: 'mine-7',
      line: 8,
      model_name: 'wine',
      model_version: 'v1.2.3',
      input_digest: 'a'.repeat(64),
      error: { code: 'timeout', message: 'The run was too long', details: null },
      attempts: 3,
      failed_at: '2026-01-01T00:00:00.000Z',
    });
  });

  it('replays one as a batch of its owner, and it is a letter no more', async () => {
    const id = (await all()).find(({ row }) => row === 4)!.id;
    const response = await call('POST', `/${id}/replay`);
    expect(response.status).to.equal(202);
    const batch = (await response.json()) as BatchObject;
    expect(response.headers.get('location')).to.equal(`/api/v1/batch/${batch.id}`);
    expect(batch).to.deep.include({ model_name: 'penguins', retry_of: secondBatch });
    expect((await rig().ledger.get(batch.id))?.owner).to.equal('somebody');
    expect(await inputsOf(batch.id)).to.deep.equal([
      { ids: ['mine-4'], lines: { each: [5] }, shape: [1, 5], first: 4 },
    ]);
    expect((await all()).map(({ row }) => row)).to.deep.equal([2, 7]);
    expect((await call('POST', `/${id}/replay`)).status).to.equal(404);
  });

  it('replays all, a batch for each that they come from, rows in order', async () => {
    const response = await call('POST', '/replay');
    expect(response.status).to.equal(202);
    const { batches } = (await response.json()) as { readonly batches: readonly BatchObject[] };
    expect(batches.map((batch) => batch.retry_of)).to.have.members([firstBatch, secondBatch]);
    const batch = batches.find((each) => each.retry_of === firstBatch)!;
    expect(batch.counts.total).to.equal(2);
    expect(await inputsOf(batch.id)).to.deep.equal([
      { ids: ['2', 'mine-7'], lines: null, shape: [2, 5], first: 2 },
    ]);
    expect(await all()).to.deep.equal([]);
    expect(await (await call('POST', '/replay')).json()).to.deep.equal({ batches: [] });
  });

  it('replays once with one key', async () => {
    const id = (await all()).find(({ row }) => row === 4)!.id;
    for (const path of [`/api/v1/dead-letters/${id}/replay`, '/api/v1/dead-letters/replay']) {
      const keyed = { method: 'POST', headers: { 'idempotency-key': path.slice(-20) } };
      const first = await rig().api.request(path, keyed);
      const again = await rig().api.request(path, keyed);
      expect([first.status, again.status]).to.deep.equal([202, 202]);
      expect(again.headers.get('idempotency-replayed')).to.equal('true');
      expect(await again.text()).to.equal(await first.text());
    }
  });

  it('makes no batch of letters whose inputs are gone', async () => {
    const [{ id }] = (await all()) as [DeadLetterObject];
    for (const letter of await all()) await rig().redis.hdel(rig().keys.deadLetter(letter.id), 'input');
    const before = (await rig().ledger.list(null, null, 1)).batches;
    expect((await call('POST', `/${id}/replay`)).status).to.equal(404);
    expect(await (await call('POST', '/replay')).json()).to.deep.equal({ batches: [] });
    expect((await rig().ledger.list(null, null, 1)).batches).to.deep.equal(before);
  });

  it('replays those of a model, or of a batch', async () => {
    await call('POST', '/replay?model=penguins');
    expect((await all()).map(({ row }) => row)).to.deep.equal([2, 7]);
    await call('POST', `/replay?batch=${secondBatch}`);
    expect((await all()).length).to.equal(2);
    await call('POST', `/replay?batch=${firstBatch}&model=wine`);
    expect(await all()).to.deep.equal([]);
  });

  for (const [method, path, status] of [
    ['POST', '/none/replay', 404],
    ['GET', '?cursor=next', 400],
    ['GET', '?limit=101', 400],
    ['POST', '/replay?batch=none', 400],
    ['DELETE', '', 405],
  ] as const)
    it(`answers ${status} to ${method} ${path}`, async () => {
      expect((await call(method, path)).status).to.equal(status);
    });

  it('needs the scope admin', async () => {
    for (const [method, path] of [
      ['GET', ''],
      ['POST', '/replay'],
      ['POST', '/none/replay'],
    ] as const)
      expect((await rig().call(method, `/api/v1/dead-letters${path}`)).status).to.equal(403);
  });
});
