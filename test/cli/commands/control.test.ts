import { expect } from 'chai';
import { batchObject, completed, sendJson } from '../support/contract-server.ts';
import { useRig } from '../support/rig.ts';

const { id } = completed;

describe('millrace batch', () => {
  const rig = useRig();
  it('cancels, pauses, resumes and retries by one call each', async () => {
    rig.server.answer(`DELETE /api/v1/batch/${id}`, sendJson(202, batchObject({ status: 'cancelled' })));
    rig.server.answer(`POST /api/v1/batch/${id}/pause`, sendJson(200, batchObject({ paused: true })));
    rig.server.answer(`POST /api/v1/batch/${id}/resume`, sendJson(200, batchObject()));
    const retried = batchObject({ id: 'batch_02', retry_of: id });
    rig.server.answer(`POST /api/v1/batch/${id}/retry`, sendJson(202, retried));
    expect(await rig.run(`batch cancel ${id}`)).to.include({ code: 0, stderr: '' });
    expect((await rig.run(`batch pause ${id}`)).stdout).to.include(
      'running, paused · wine v1.0.0 · 0 of 1,000 rows',
    );
    expect((await rig.run(`batch resume ${id} --json`)).stdout).to.include('"paused": false');
    expect((await rig.run(`batch retry ${id}`)).stdout).to.equal('batch_02\n');
  });

  it('lists page after page', async () => {
    const page = (from: number, count: number) =>
      Array.from({ length: count }, (_, index) => batchObject({ id: `batch_${from + index}` }));
    rig.server.answer(
      'GET /api/v1/batch',
      sendJson(200, { batches: page(0, 100), next_cursor: 'c1' }),
      sendJson(200, { batches: page(100, 50), next_cursor: null }),
    );
    const { code, stdout } = await rig.run('batch list --limit 120');
    expect(code).to.equal(0);
    expect(stdout.split('\n')[0]).to.match(/^ID +STATUS +MODEL +ROWS +FAILED +CREATED$/);
    expect(rig.server.of('GET /api/v1/batch').map(({ query }) => query.toString())).to.deep.equal([
      'limit=100',
      'limit=20&cursor=c1',
    ]);
  });
});
