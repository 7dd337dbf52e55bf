import { expect } from 'chai';
import { gzipSync } from 'node:zlib';
import { MillraceError } from '../../../src/errors.ts';
import { buildVersion, spec } from '../../support/builders.ts';
import { errorOf, objectOf } from '../batch/support/answers.ts';
import { useBatchRig } from '../batch/support/batch-rig.ts';
import { sendRaw } from '../support/raw-client.ts';

const json = 'application/json';
const ndjson = 'application/x-ndjson';
const row = (value: number): number[] => [value, 2, 3, 4, 5];

interface Document {
  readonly predictions: readonly {
    readonly id: string;
    readonly output?: string;
    readonly error?: { readonly code: string };
  }[];
  readonly model_version: string;
  readonly model_name: string;
  readonly processing_time_ms: number;
}

describe('submitting a batch', () => {
  const rig = useBatchRig({ works: true, batch: { wait_ms: 5000 } });
  const batchCount = async (): Promise<number> => (await rig().ledger.list(null, null, 100)).batches.length;
  let before = 0;
  beforeEach(async () => {
    before = await batchCount();
  });
  afterEach(async () => {
    await rig().idle();
    expect(rig().admission.inFlight).to.equal(0);
    expect(rig().watched()).to.equal(0);
  });

  it('answers a JSON body with the document when it ends within the wait', async () => {
    const inputs = [row(0), { id: 'mine', inputs: row(1) }, row(2), [1, 2]];
    const response = await rig().send('/api/v1/batch', json, JSON.stringify({ inputs }));
    const text = await response.text();
    expect(response.status, text).to.equal(200);
    expect(response.headers.get('x-model-version')).to.equal('v1.2.3');
    expect(response.headers.get('cache-control')).to.equal('no-store');
    const document = JSON.parse(text) as Document;
    expect(Object.keys(document)).to.deep.equal([
      'predictions',
      'model_version',
      'model_name',
      'processing_time_ms',
    ]);
    expect(document.predictions.map(({ output }) => output)).to.deep.equal([
      'class_0',
      'class_1',
      'class_2',
      undefined,
    ]);
    expect(document.predictions[3]).to.have.nested.property('error.code', 'invalid_input');
    expect(document.predictions[1]!.id).to.equal('mine');
    const [batch] = (await rig().ledger.list(null, null, 1)).batches;
    expect(document.predictions[0]!.id).to.equal(`${batch!.id.replace('batch_', 'pred_')}_0`);
  });

  it('finds the model in the path, in the parameters, or takes the default', async () => {
    const body = { inputs: [row(0)] };
    const named = { ...body, parameters: { model: 'wine', version: 'v1.2.3' } };
    for (const [path, given] of [
      ['/api/v1/batch', body],
      ['/api/v1/batch', named],
      ['/api/v1/models/wine/batch', named],
      ['/api/v1/models/wine/versions/v1.2.3/batch', body],
    ] as const)
      expect((await rig().send(path, json, JSON.stringify(given))).status, path).to.equal(200);
    const other = JSON.stringify({ ...body, parameters: { model: 'other' } });
    expect((await errorOf(await rig().send('/api/v1/models/wine/batch', json, other), 400)).code).to.equal(
      'invalid_input',
    );
    expect((await errorOf(await rig().send('/api/v1/batch', json, other), 404)).code).to.equal('not_found');
    expect(
      (
        await errorOf(
          await rig().send('/api/v1/models/wine/versions/v9/batch', json, JSON.stringify(body)),
          404,
        )
      ).code,
    ).to.equal('not_found');
  });

  it('answers 202 and where to look when nobody is to wait', async () => {
    const body = JSON.stringify({ inputs: [row(0)] });
    const response = await rig().send('/api/v1/batch', json, body, { prefer: 'respond-async' });
    expect(response.headers.get('preference-applied')).to.equal('respond-async');
    const batch = await objectOf(response);
    expect(response.headers.get('location')).to.equal(`/api/v1/batch/${batch.id}`);
    expect(batch.counts.total).to.equal(1);
    const none = await rig().send('/api/v1/batch', json, body, { prefer: 'wait=0' });
    expect(none.headers.get('preference-applied')).to.equal('wait=0');
    await objectOf(none);
    const shortened = await rig().send('/api/v1/batch', json, body, { prefer: 'wait=99999' });
    expect(shortened.headers.get('preference-applied')).to.equal('wait=60');
    expect(shortened.status).to.equal(200);
    await shortened.text();
  });

  it('answers 202 for rows that are streamed, with parameters from the query', async () => {
    const body = `${JSON.stringify(row(0))}\n\nnope\n{"id":"mine","inputs":${JSON.stringify(row(1))}}`;
    const query = 'return_probability=true&top_k=2&outputs=label,probabilities&model=wine';
    const response = await rig().send(`/api/v1/batch?${query}`, ndjson, body, { prefer: 'wait=30' });
    expect(response.headers.get('preference-applied')).to.equal(null);
    const { id } = await objectOf(response);
    await rig().idle();
    const record = await rig().ledger.get(id);
    expect(record?.render).to.deep.equal({
      returnProbability: true,
      topK: 2,
      outputs: ['label', 'probabilities'],
    });
    expect(record).to.include({
      status: 'completed',
      rowsTotal: 3,
      rowsSucceeded: 2,
      rowsFailed: 1,
      owner: rig().owner,
    });
    const results = await (await rig().get(`/api/v1/batch/${id}/results`, { accept: ndjson })).text();
    const rows = results
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as Record<string, unknown>);
    expect(rows[1]).to.deep.include({ row: 1, line: 3 });
    expect(rows[2]).to.deep.include({ row: 2, id: 'mine' });
  });

  it('takes an upload in any coding and type that it says it takes', async () => {
    const lines = `${JSON.stringify(row(0))}\n${JSON.stringify(row(1))}\n`;
    const csv = `alcohol,flavanoids,color_intensity,hue,proline\n${row(0).join()}\n${row(1).join()}`;
    for (const [type, body, headers] of [
      [ndjson, gzipSync(lines), { 'content-encoding': 'gzip' }],
      ['application/ndjson; charset=UTF-8', lines, {}],
      ['application/jsonl', lines, { 'content-encoding': 'identity' }],
      ['text/csv; charset="utf-8"; header=present', csv, {}],
      [
        `${json};charset=utf-8`,
        gzipSync(`{"inputs":[${lines.trimEnd().replace('\n', ',')}]}`),
        { 'content-encoding': 'x-gzip', prefer: 'respond-async' },
      ],
    ] as const) {
      const batch = await objectOf(await rig().send('/api/v1/batch', type, body, headers));
      expect(batch.counts.total, type).to.equal(2);
    }
  });

  it('refuses types and codings that it does not know, and says which it does', async () => {
    for (const type of [
      'text/plain',
      'application/json; charset=latin1',
      'text/csv; header=absent',
      'application/x-ndjson; charset=utf-16',
    ]) {
      const response = await rig().send('/api/v1/batch', type, '[1]');
      expect(response.headers.get('accept-post')).to.equal(
        'application/json, application/x-ndjson, text/csv',
      );
      expect((await errorOf(response, 415)).code).to.equal('unsupported_media_type');
    }
    const coded = await rig().send('/api/v1/batch', ndjson, '[1]', { 'content-encoding': 'br' });
    expect(coded.headers.get('accept-encoding')).to.equal('gzip, identity');
    await errorOf(coded, 415);
    expect(await batchCount()).to.equal(before);
  });

  it('leaves no batch behind when the whole of it is wrong', async () => {
    const header = 'alcohol,flavanoids,color_intensity,hue,prolin\n';
    const wrong: readonly (readonly [type: string, body: string, path: string, target?: string])[] = [
      [json, 'nonsense', '(root)'],
      [json, '{"inputs":[]}', 'inputs'],
      [json, '{"inputs":{"alcohol":1}}', 'inputs'],
      [json, `{"inputs":[${JSON.stringify(row(0))},[1,2}]}`, '(root)'],
      [json, '{"inputs":[[1]],"webhook":1}', 'webhook'],
      [json, '{"inputs":[[1]],"paramters":{}}', 'paramters'],
      [json, '{"source":"s3://bucket/rows.ndjson"}', 'source'],
      [json, '{"inputs":[[1]],"parameters":{"outputs":["nothing"]}}', 'parameters.outputs[0]'],
      [json, '{"inputs":[[1]]}', 'query', '?top_k=1'],
      [ndjson, '[1]', 'query.top_k', '?top_k=many'],
      [ndjson, '[1]', 'query.topk', '?topk=1'],
      [ndjson, '\n \n', '(root)'],
      ['text/csv', `${header}1,2,3,4,5`, 'header["proline"]'],
      ['text/csv', 'alcohol,flavanoids,color_intensity,hue,proline\n', '(root)'],
      [ndjson, '', '(root)'],
    ];
    for (const [type, body, path, target = ''] of wrong) {
      const error = await errorOf(await rig().send(`/api/v1/batch${target}`, type, body), 400);
      expect(error.code, body).to.equal('invalid_input');
      expect(error.details[0]!.path, body).to.equal(path);
    }
    const zipped = await rig().send('/api/v1/batch', ndjson, 'not gzip', { 'content-encoding': 'gzip' });
    expect((await errorOf(zipped, 400)).message).to.equal('The body is not valid gzip');
    expect(await batchCount()).to.equal(before);
  });

  it('takes rows of every kind of model', async () => {
    const wide = buildVersion({
      model: 'wide',
      inputs: [spec('x', 'INT64', [-1, 1])],
      outputs: [spec('y', 'INT64', [-1, 1])],
    });
    rig().versions.push({ ...wide, manifest: { ...wide.manifest, pool: 'elsewhere' } });
    const { id } = await objectOf(
      await rig().send('/api/v1/models/wide/batch', ndjson, '[9223372036854775807]\n["-5"]\n[1.5]'),
    );
    expect(await rig().ledger.get(id)).to.include({ pool: 'elsewhere', rowsTotal: 3, status: 'queued' });
    const [chunk] = await rig().ledger.chunks(id, 0, 1);
    expect(chunk?.rowCount).to.equal(3);
  });

  it('is for callers with its scope', async () => {
    const key = await rig().api.keyWith(['predict']);
    expect(
      (await errorOf(await rig().send('/api/v1/batch', ndjson, '[1]', { 'x-api-key': key }), 403)).code,
    ).to.equal('forbidden');
  });

  it('refuses while Redis is short of memory', async () => {
    rig().memory = () => {
      throw new MillraceError('service_unavailable', 'The queue is short of memory');
    };
    const response = await rig().send('/api/v1/batch', ndjson, '[1]');
    rig().memory = () => undefined;
    expect(response.headers.get('retry-after')).to.match(/^\d+$/);
    await errorOf(response, 503);
  });

  it('says 100 Continue only to what it would take', async () => {
    const head = (type: string): string =>
      `POST /api/v1/batch HTTP/1.1\r\nHost: a\r\nX-API-Key: ${rig().key}\r\nContent-Type: ${type}\r\nContent-Length: 13\r\nExpect: 100-continue\r\n\r\n`;
    const taken = await sendRaw(rig().api.port, head(ndjson), { afterFirstLine: '[1,2,3,4,5]\n\n' });
    expect(taken.status).to.equal(202);
    const refused = await sendRaw(rig().api.port, head('text/plain'));
    expect(refused.status).to.equal(415);
    expect(refused.headers['connection']).to.equal('close');
  });
});

describe('a JSON batch that ends within the wait', () => {
  let durableCount = 0;
  let failure: MillraceError | null = null;
  const rig = useBatchRig({
    works: true,
    batch: { wait_ms: 60_000 },
    ledger: (ledger) => ({
      ...ledger,
      durable: async (batch) => {
        durableCount += 1;
        if (failure !== null) throw failure;
        return ledger.durable(batch);
      },
    }),
  });
  const submit = () => rig().send('/api/v1/batch', json, JSON.stringify({ inputs: [row(0)] }));

  it('is answered once a crash of Redis cannot lose it', async () => {
    const response = await submit();
    expect(response.status).to.equal(200);
    await response.text();
    expect(durableCount).to.equal(1);
  });

  it('is not answered where it may be lost, and nobody waits for its end any more', async () => {
    failure = new MillraceError('service_unavailable', 'Redis came back without the batch');
    await errorOf(await submit(), 503);
    await rig().idle();
    expect(rig().watched()).to.equal(0);
  });
});
