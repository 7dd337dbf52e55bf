import { expect } from 'chai';
import { MillraceError } from '../../../src/errors.ts';
import { buildVersion, regressionVersion, spec, wineVersion } from '../../support/builders.ts';
import { useRequestEvents } from '../support/request-events.ts';
import { sampleWorker, useTestApi } from '../support/test-api.ts';

interface PredictBody {
  readonly predictions: readonly Record<string, unknown>[];
  readonly model_version: string;
  readonly model_name: string;
  readonly processing_time_ms: number;
}

async function bodyOf(response: Response): Promise<PredictBody> {
  const body = await response.text();
  expect(response.status, body).to.equal(200);
  return JSON.parse(body) as PredictBody;
}

interface ErrorBody {
  readonly error: { readonly code: string; readonly message: string; readonly details: unknown };
}

async function errorOf(response: Response): Promise<ErrorBody['error']> {
  return ((await response.json()) as ErrorBody).error;
}

const inputs = [1.5, 2.0, 3.1, 4.2, 5.0];

describe('predict', () => {
  const echo = buildVersion({
    model: 'echo',
    manifest: { timeout_ms: 700 },
    inputs: [spec('x', 'INT64', [-1, 3])],
    outputs: [spec('y', 'INT64', [-1, 3])],
  });
  const elsewhere = buildVersion({ model: 'elsewhere', manifest: { pool: 'gpu' } });
  const api = useTestApi({ versions: [wineVersion(), regressionVersion(), echo, elsewhere] });
  const events = useRequestEvents();

  afterEach(() => {
    api().coalescer.respond = undefined;
    api().workers = [sampleWorker];
    api().connected = true;
  });

  it("answers the document's own example with the document's fields", async () => {
    const response = await api().predict({ inputs, parameters: { return_probability: true } });
    const { headers } = response;
    const body = await bodyOf(response);
    expect(Object.keys(body)).to.deep.equal([
      'predictions',
      'model_version',
      'model_name',
      'processing_time_ms',
    ]);
    const [prediction] = body.predictions;
    expect(Object.keys(prediction!)).to.deep.equal(['id', 'output', 'probabilities', 'score']);
    expect(prediction).to.include({ output: 'class_1', score: 0.7 });
    expect(prediction!['probabilities']).to.deep.equal([0.1, 0.7, 0.2]);
    expect(prediction!['id']).to.match(/^pred_[0-9a-z]+$/);
    expect(body).to.include({ model_version: 'v1.2.3', model_name: 'wine' });
    expect(headers.get('x-cache')).to.equal('bypass');
    expect(headers.get('x-model-version')).to.equal('v1.2.3');
    expect(headers.get('cache-control')).to.equal('no-store');
    expect(headers.get('x-powered-by')).to.equal(null);
    const timing = /^queue;dur=([\d.]+), inference;dur=([\d.]+), total;dur=([\d.]+)$/.exec(
      headers.get('server-timing') ?? '',
    );
    expect(timing?.slice(1, 3)).to.deep.equal(['1', '0.125']);
    expect(Number(timing?.[3])).to.equal(body.processing_time_ms);
  });

  it('leaves out what was not asked for', async () => {
    const { predictions } = await bodyOf(await api().predict({ inputs }));
    expect(Object.keys(predictions[0]!)).to.deep.equal(['id', 'output', 'score']);
  });

  it('finds the model by parameter and by path, the version by name and by alias', async () => {
    const nameOf = async (body: unknown, path?: string) =>
      (await bodyOf(await api().predict(body, path))).model_name;
    const ten = Array.from({ length: 10 }, () => 0);
    expect(await nameOf({ inputs: ten, parameters: { model: 'diabetes' } })).to.equal('diabetes');
    expect(await nameOf({ inputs: ten, parameters: { model: 'diabetes', version: 'default' } })).to.equal(
      'diabetes',
    );
    expect(await nameOf({ inputs: ten }, '/api/v1/models/diabetes/predict')).to.equal('diabetes');
    expect(await nameOf({ inputs }, '/api/v1/models/wine/versions/v1.2.3/predict')).to.equal('wine');
    expect(await nameOf({ inputs }, '/api/v1/models/wine/versions/default/predict')).to.equal('wine');
    const repeated = { inputs, parameters: { model: 'wine', version: 'v1.2.3' } };
    expect(await nameOf(repeated, '/api/v1/models/wine/versions/v1.2.3/predict')).to.equal('wine');
  });

  it('takes features by name, a byte order mark, a quoted charset and chunks', async () => {
    const named = { alcohol: 1, flavanoids: 2, color_intensity: 3, hue: 4, proline: 5 };
    await bodyOf(await api().predict({ inputs: named }));
    await bodyOf(await api().predict(`\ufeff${JSON.stringify({ inputs })}`));
    const send = (headers: Record<string, string>, body: string | ReadableStream) =>
      api().request('/api/v1/predict', { method: 'POST', headers, body, duplex: 'half' });
    const text = JSON.stringify({ inputs });
    await bodyOf(await send({ 'content-type': 'application/json; charset="UTF-8"' }, text));
    await bodyOf(await send({ 'content-type': 'application/JSON ;charset=utf8;' }, text));
    await bodyOf(await send({ 'content-type': 'application/json', 'content-encoding': 'identity' }, text));
    const chunks = new ReadableStream({
      start(controller) {
        for (const byte of Buffer.from(text)) controller.enqueue(Uint8Array.of(byte));
        controller.close();
      },
    });
    await bodyOf(await send({ 'content-type': 'application/json' }, chunks));
  });

  it('keeps 64-bit integers exact on the way in and out', async () => {
    const given = '[9223372036854775807,-9223372036854775808,"9007199254740993"]';
    const response = await api().predict(`{"inputs":${given}}`, '/api/v1/models/echo/predict');
    const { predictions } = await bodyOf(response);
    expect(predictions[0]!['output']).to.deep.equal([
      '9223372036854775807',
      '-9223372036854775808',
      '9007199254740993',
    ]);
  });

  it("counts the deadline from the request's beginning: its own, the model's, or the server's", async () => {
    const { coalescer } = api();
    const deadlineOf = async (body: unknown, path?: string) => {
      const startedAtMs = Date.now();
      const next = coalescer.next();
      await bodyOf(await api().predict(body, path));
      return (await next).deadlineMs - startedAtMs;
    };
    expect(await deadlineOf({ inputs, parameters: { timeout_ms: 123 } })).to.be.within(100, 1000 + 123);
    expect(await deadlineOf({ inputs: [1, 2, 3] }, '/api/v1/models/echo/predict')).to.be.within(
      650,
      1000 + 700,
    );
    expect(await deadlineOf({ inputs })).to.be.within(1950, 1000 + 2000);
  });

  it('says 503 at once, and when to come again, without a worker in the pool', async () => {
    api().workers = [{ ...sampleWorker, draining: true }];
    const response = await api().predict({ inputs });
    expect(response.status).to.equal(503);
    expect(response.headers.get('retry-after')).to.match(/^\d+$/);
    expect((await errorOf(response)).code).to.equal('service_unavailable');
    api().workers = [sampleWorker];
    expect((await api().predict({ inputs: [1, 2, 3] }, '/api/v1/models/elsewhere/predict')).status).to.equal(
      503,
    );
  });

  it('says 503 while the queue was never reached, but 400 for what is wrong anyway', async () => {
    api().connected = false;
    expect((await api().predict({ inputs })).status).to.equal(503);
    expect((await api().predict({ inputs: [] })).status).to.equal(400);
  });

  it('passes on what the worker says, with its status', async () => {
    const failWith = (error: unknown) => {
      api().coalescer.respond = () => Promise.reject(error);
      return api().predict({ inputs });
    };
    expect((await failWith(new MillraceError('timeout'))).status).to.equal(504);
    const rowError = new MillraceError('invalid_input', 'index 12 is out of range', { details: 'row' });
    expect(await errorOf(await failWith(rowError))).to.include({ code: 'invalid_input', details: 'row' });
    const broken = await errorOf(await failWith(new Error('/srv/models/a.onnx is broken')));
    expect(broken).to.include({ code: 'internal_error', message: 'Unexpected error', details: null });
  });

  it('publishes one event a request, with model, principal and timings', async () => {
    const response = await api().predict({ inputs });
    await bodyOf(response);
    const id = response.headers.get('x-request-id');
    const event = await events.first(({ requestId }) => requestId === id);
    expect(event).to.include({
      method: 'POST',
      route: '/api/v1/predict',
      status: 200,
      model: 'wine',
      version: 'v1.2.3',
      errorCode: null,
    });
    expect(event.principal).to.match(/^[0-9A-Za-z]{12}$/);
    expect(event.timings).to.include({ batchWaitMs: 0.25, queueMs: 0.75, runMs: 0.125 });
    expect(event.timings?.totalMs).to.be.closeTo(event.durationMs, 0.001);
    expect(events.all.filter(({ requestId }) => requestId === id)).to.have.length(1);
  });

  it('tells the log, and only the log, what lies behind a 500', async () => {
    const cause = new Error('the very reason');
    api().coalescer.respond = () => Promise.reject(cause);
    const response = await api().predict({ inputs });
    expect(await response.text()).to.not.include('the very reason');
    const id = response.headers.get('x-request-id');
    const event = await events.first(({ requestId }) => requestId === id);
    expect(event).to.include({ status: 500, errorCode: 'internal_error', model: 'wine', cause });
  });
});
