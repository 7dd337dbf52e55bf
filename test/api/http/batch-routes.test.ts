import { expect } from 'chai';
import type { BatchObject } from '../../../src/api/batch/batch-view.ts';
import { decodeChunkInput } from '../../../src/queues/batch/chunk.ts';
import { until } from '../../../src/dev/readiness.ts';
import { chunksOf, useBatchRig } from '../batch/support/batch-rig.ts';

interface Problem {
  readonly error: { readonly code: string; readonly message: string; readonly details: unknown };
}

describe('batch routes', () => {
  const rig = useBatchRig();

  const objectOf = async (response: Response, status: number): Promise<BatchObject> => {
    expect(response.status).to.equal(status);
    return (await response.json()) as BatchObject;
  };
  const problemOf = async (response: Response, status: number): Promise<Problem['error']> => {
    expect(response.status).to.equal(status);
    return ((await response.json()) as Problem).error;
  };
  const everyPath = (id: string): readonly (readonly [string, string])[] => [
    ['GET', `/api/v1/batch/${id}`],
    ['DELETE', `/api/v1/batch/${id}`],
    ['POST', `/api/v1/batch/${id}/pause`],
    ['POST', `/api/v1/batch/${id}/resume`],
    ['POST', `/api/v1/batch/${id}/retry`],
    ['GET', `/api/v1/batch/${id}/results`],
    ['GET', `/api/v1/batch/${id}/events`],
  ];

  it('shows a batch', async () => {
    const id = await rig().submit(chunksOf(30, 10), { unfinished: [2] });
    const batch = await objectOf(await rig().get(`/api/v1/batch/${id}`), 200);
    expect(batch).to.deep.include({
      id,
      status: 'running',
      model_name: 'wine',
      model_version: 'v1.2.3',
      counts: { total: 30, succeeded: 20, failed: 0 },
      progress: 0.6666,
      finished_at: null,
      expires_at: null,
    });
    expect(batch.eta_seconds).to.be.a('number');
  });

  it('says 304 while a batch has not changed', async () => {
    const id = await rig().submit(chunksOf(10, 10), { unfinished: [0] });
    const etag = (await rig().get(`/api/v1/batch/${id}`)).headers.get('etag') ?? '';
    expect((await rig().get(`/api/v1/batch/${id}`, { 'if-none-match': etag })).status).to.equal(304);
    await rig().finish(id, 0, chunksOf(10, 10)[0]!);
    expect((await rig().get(`/api/v1/batch/${id}`, { 'if-none-match': etag })).status).to.equal(200);
  });

  it('cancels a batch once, whatever comes after', async () => {
    const id = await rig().submit(chunksOf(20, 10), { unfinished: [1] });
    const cancelled = await objectOf(await rig().call('DELETE', `/api/v1/batch/${id}`), 202);
    expect(cancelled.status).to.equal('cancelled');
    const again = await objectOf(await rig().call('DELETE', `/api/v1/batch/${id}`), 200);
    expect(again).to.deep.equal(cancelled);
    expect((await rig().ledger.claim('default', 100)).some(({ batchId }) => batchId === id)).to.equal(false);
  });

  it('leaves a batch as it is that is completed before it is cancelled', async () => {
    const id = await rig().submit(chunksOf(10, 10));
    const kept = await objectOf(await rig().call('DELETE', `/api/v1/batch/${id}`), 200);
    expect(kept.status).to.equal('completed');
  });

  it('pauses and resumes', async () => {
    const id = await rig().submit(chunksOf(10, 10), { unfinished: [0] });
    const paused = await objectOf(await rig().call('POST', `/api/v1/batch/${id}/pause`), 200);
    expect(paused).to.include({ paused: true, status: 'queued', eta_seconds: null });
    rig().fed.length = 0;
    const resumed = await objectOf(await rig().call('POST', `/api/v1/batch/${id}/resume`), 200);
    expect(resumed).to.include({ paused: false, status: 'queued' });
    expect(rig().fed).to.deep.equal(['default']);
  });

  it('refuses to pause, resume or retry at the wrong time', async () => {
    const ended = await rig().submit(chunksOf(10, 10));
    for (const action of ['pause', 'resume', 'retry'])
      expect(
        (await problemOf(await rig().call('POST', `/api/v1/batch/${ended}/${action}`), 409)).code,
      ).to.equal('conflict');
    const running = await rig().submit(chunksOf(10, 10, { failed: [1] }), { unfinished: [0] });
    const problem = await problemOf(await rig().call('POST', `/api/v1/batch/${running}/retry`), 409);
    expect(problem.message).to.equal('The batch has not ended');
  });

  it('runs failed rows again as a new batch, which keeps ids and lines', async () => {
    const chunks = [
      {
        firstRow: 0,
        rowCount: 4,
        ids: ['a', 'b', 'c', 'd'],
        lines: { first: 1 },
        refused: [1],
        failed: [0, 3],
      },
      { firstRow: 4, rowCount: 3, ids: ['e', 'f', 'g'], lines: { first: 5 } },
      { firstRow: 7, rowCount: 2, ids: ['h', null], lines: { first: 8 }, refused: [0], failed: [1] },
    ];
    const first = await rig().submit(chunks);
    const response = await rig().call('POST', `/api/v1/batch/${first}/retry`);
    const batch = await objectOf(response, 202);
    expect(response.headers.get('location')).to.equal(`/api/v1/batch/${batch.id}`);
    expect(batch).to.deep.include({ status: 'queued', retry_of: first, model_version: 'v1.2.3' });
    expect(batch.counts).to.deep.equal({ total: 3, succeeded: 0, failed: 0 });
    expect(batch.links.retry_of).to.equal(`/api/v1/batch/${first}`);
    const inputs = [];
    for (const { index, input } of await rig().ledger.chunks(batch.id, 0, 10)) {
      const ref = { batchId: batch.id, index };
      const bytes = await rig().store.readInput(ref, input!);
      const { firstRow, ids, lines, tensors } = decodeChunkInput(ref, bytes!);
      inputs.push({ firstRow, ids, lines, data: [...(tensors.get('X')?.data ?? [])] });
    }
    expect(inputs).to.deep.equal([
      { firstRow: 0, ids: ['a', 'd'], lines: { each: [1, 4] }, data: [0, 1, 2, 3, 4, 3, 4, 5, 6, 7] },
      { firstRow: 2, ids: ['8'], lines: { each: [9] }, data: [8, 9, 10, 11, 12] },
    ]);
    expect((await rig().ledger.get(batch.id))?.owner).to.equal(rig().owner);
  });

  it('makes no batch of failed rows whose inputs are gone', async () => {
    const id = await rig().submit(chunksOf(4, 2, { failed: [1] }));
    await rig().redis.del(rig().keys.batchInputs(id));
    const before = (await rig().ledger.list(null, null, 1)).batches;
    for (const headers of [{}, { 'idempotency-key': 'gone' }]) {
      const problem = await problemOf(await rig().call('POST', `/api/v1/batch/${id}/retry`, headers), 409);
      expect(problem.message).to.equal('No row of the batch can be run again');
    }
    expect((await rig().ledger.list(null, null, 1)).batches).to.deep.equal(before);
  });

  it('runs failed rows again once, however often it is asked with one key', async () => {
    const first = await rig().submit([{ firstRow: 0, rowCount: 2, failed: [1] }]);
    const path = `/api/v1/batch/${first}/retry`;
    const responses = await Promise.all(
      Array.from({ length: 10 }, () => rig().call('POST', path, { 'idempotency-key': 'again' })),
    );
    const bodies = await Promise.all(responses.map((response) => objectOf(response, 202)));
    expect(new Set(bodies.map(({ id }) => id)).size).to.equal(1);
    const other = await rig().submit([{ firstRow: 0, rowCount: 2, failed: [1] }]);
    const elsewhere = `/api/v1/batch/${other}/retry`;
    await problemOf(await rig().call('POST', elsewhere, { 'idempotency-key': 'again' }), 409);
  });

  it("lists the caller's batches, newest first, in pages to the end", async () => {
    const key = await rig().api.keyWith(['batch']);
    const owner = key.split('_')[2]!;
    const ids: string[] = [];
    for (let i = 0; i < 5; i++) ids.unshift(await rig().submit(chunksOf(1, 1), { over: { owner } }));
    const seen: string[] = [];
    let path: string | null = '/api/v1/batch?limit=2';
    while (path !== null) {
      const response = await rig().get(path, { 'x-api-key': key });
      const page = (await response.json()) as {
        readonly batches: readonly BatchObject[];
        readonly links: { readonly next: string | null };
      };
      expect(page.batches.length).to.be.at.most(2);
      seen.push(...page.batches.map(({ id }) => id));
      path = page.links.next;
    }
    expect(seen).to.deep.equal(ids);
    expect((await rig().get('/api/v1/batch?cursor=3')).status).to.equal(400);
    expect((await rig().get('/api/v1/batch?limit=101')).status).to.equal(400);
  });

  it("does not know another caller's batch, but an admin sees all", async () => {
    const id = await rig().submit(chunksOf(10, 10, { failed: [0] }), { over: { owner: 'somebody' } });
    for (const [method, path] of everyPath(id))
      expect((await problemOf(await rig().call(method, path), 404)).message).to.equal(
        'There is no such batch',
      );
    expect((await rig().api.request(`/api/v1/batch/${id}`)).status).to.equal(200);
    const all = (await (await rig().api.request('/api/v1/batch')).json()) as { batches: BatchObject[] };
    expect(all.batches.map((batch) => batch.id)).to.include(id);
  });

  it('does not know what never was', async () => {
    for (const id of ['batch_01J00000000000000000000000', 'none', 'batch_{}:*', '..'])
      for (const [method, path] of everyPath(encodeURIComponent(id)))
        expect((await rig().call(method, path)).status, path).to.equal(404);
  });

  it('says of an expired batch that it has expired', async () => {
    const id = await rig().submit(chunksOf(1, 1), { over: { retentionMs: 1 } });
    await until(async () => (await rig().ledger.get(id)) === undefined, AbortSignal.timeout(10_000));
    for (const [method, path] of everyPath(id))
      expect((await problemOf(await rig().call(method, path), 404)).details).to.equal(
        'The batch and its results have expired',
      );
  });

  it('needs the scope batch', async () => {
    const key = await rig().api.keyWith(['predict', 'models:read']);
    for (const [method, path] of everyPath('batch_01J00000000000000000000000'))
      expect((await rig().call(method, path, { 'x-api-key': key })).status).to.equal(403);
  });
});
