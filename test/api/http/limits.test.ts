import { expect } from 'chai';
import type { limitsFor } from '../../../src/api/limits.ts';
import { chunksOf, useBatchRig } from '../batch/support/batch-rig.ts';

type Limits = ReturnType<typeof limitsFor>;

describe('GET /api/v1/limits', () => {
  const rig = useBatchRig();

  const limitsOf = async (key: string): Promise<Limits> => {
    const response = await rig().get('/api/v1/limits', { 'x-api-key': key });
    expect(response.status).to.equal(200);
    return (await response.json()) as Limits;
  };

  it('tells any key what it can meet', async () => {
    const limits = await limitsOf(await rig().api.keyWith(['predict']));
    expect(limits.requests).to.include({ default_per_minute: 100, sensitive_per_minute: 10 });
    expect(limits.predict).to.include({ body_bytes_max: 4_194_304, timeout_ms_max: 60_000, top_k_max: 1000 });
    expect(limits.batch).to.include({
      open: 0,
      rows_max: 10_000_000,
      result_page_rows_max: 10_000,
      result_pages_max: 64,
    });
  });

  it('tells a key its own limits', async () => {
    expect((await limitsOf(await rig().api.keyWith(['batch'], 7))).requests.default_per_minute).to.equal(7);
    const unlimited = await limitsOf(await rig().api.keyWith(['admin'], 0));
    expect(unlimited.requests).to.include({ default_per_minute: null, sensitive_per_minute: null });
  });

  it('counts batches that have not ended', async () => {
    const ids = [await rig().submit(chunksOf(1, 1), { unfinished: [0] }), await rig().create()];
    await rig().submit(chunksOf(1, 1));
    expect((await limitsOf(rig().key)).batch.open).to.equal(2);
    for (const id of ids) await rig().ledger.cancel(id);
    expect((await limitsOf(rig().key)).batch.open).to.equal(0);
  });

  it('needs a key', async () => {
    expect((await rig().get('/api/v1/limits', { 'x-api-key': 'none' })).status).to.equal(401);
  });
});
