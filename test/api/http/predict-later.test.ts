import { expect } from 'chai';
import { errorOf, objectOf } from '../batch/support/answers.ts';
import { useBatchRig } from '../batch/support/batch-rig.ts';

const json = 'application/json';
const ndjson = 'application/x-ndjson';
const row = (value: number): number[] => [value, 2, 3, 4, 5];

describe('a predict that is answered later', () => {
  const rig = useBatchRig({ works: true });
  const send = (body: unknown, headers = {}, path = '/api/v1/predict') =>
    rig().send(path, json, JSON.stringify(body), {
      'x-api-key': rig().api.key,
      prefer: 'respond-async',
      ...headers,
    });

  it('is a batch of one', async () => {
    const parameters = { return_probability: true, timeout_ms: 5, cache: false };
    const response = await send({ inputs: row(1), parameters }, {}, '/api/v1/models/wine/predict');
    expect(response.headers.get('preference-applied')).to.equal('respond-async');
    const batch = await objectOf(response);
    expect(response.headers.get('location')).to.equal(`/api/v1/batch/${batch.id}`);
    await rig().idle();
    const results = await rig().get(`/api/v1/batch/${batch.id}/results`, {
      accept: ndjson,
      'x-api-key': rig().api.key,
    });
    expect(JSON.parse(await results.text())).to.deep.include({ output: 'class_1', score: 0.75 });
  });

  it('is refused as it would be now', async () => {
    expect((await errorOf(await send({ inputs: [1, 2] }), 400)).details[0]!.path).to.equal('inputs');
    expect((await errorOf(await send({ inputs: row(1), parameters: { topk: 1 } }), 400)).code).to.equal(
      'invalid_input',
    );
    expect((await rig().ledger.list(null, null, 10)).batches).to.have.length(1);
  });

  it('is answered now to a key that could not ask about the batch', async () => {
    const key = await rig().api.keyWith(['predict']);
    const response = await send({ inputs: row(1) }, { 'x-api-key': key });
    expect(response.status).to.equal(200);
    expect(response.headers.get('preference-applied')).to.equal(null);
    expect(await response.json()).to.have.nested.property('predictions[0]');
    expect((await rig().ledger.list(null, null, 10)).batches).to.have.length(1);
  });

  it('is made once under a key', async () => {
    const headers = { 'idempotency-key': 'later-1' };
    const first = await objectOf(await send({ inputs: row(1) }, headers));
    expect((await objectOf(await send({ inputs: row(1) }, headers))).id).to.equal(first.id);
    await errorOf(await send({ inputs: row(2) }, headers), 409);
  });
});
