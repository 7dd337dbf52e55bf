import { expect } from 'chai';
import { useStack } from '../support/stack.ts';
import { Client, outputOf } from './client.ts';
import { fixtureModels } from './fixture-models.ts';
import { scrape } from './metrics.ts';
import type { Metrics } from './metrics.ts';

/** Text that would be found in a log if a payload were. */
const payload = 'Zaphod-Beeblebrox-4711';

/** What an operator's dashboards are made of: nine answers and one refusal later each has moved by as much. */
const apiMetrics = [
  ['millrace_requests_total', 9, { route: '/api/v1/models/{model}/predict', status: '200' }],
  ['millrace_requests_total', 1, { route: '/api/v1/models/{model}/predict', status: '400' }],
  ['millrace_request_errors_total', 1, { route: '/api/v1/models/{model}/predict', code: 'invalid_input' }],
  ['millrace_request_duration_seconds_count', 10, { route: '/api/v1/models/{model}/predict' }],
  ['millrace_predict_duration_seconds_count', 9, { model: 'identity-string' }],
  ['millrace_predict_batch_wait_seconds_count', 9, { model: 'identity-string' }],
  ['millrace_predict_queue_wait_seconds_count', 9, { model: 'identity-string' }],
  ['millrace_predict_run_seconds_count', 9, { model: 'identity-string' }],
  ['millrace_batch_rows_sum', 9, { model: 'identity-string', lane: 'online' }],
  ['millrace_batch_entries_sum', 9, { model: 'identity-string', lane: 'online' }],
] as const;

const workerMetrics = [
  ['millrace_run_rows_total', 9, { model: 'identity-string', outcome: 'succeeded' }],
  ['millrace_hosts', 1, {}],
  ['millrace_loaded_versions', 1, {}],
  ['millrace_host_deaths_total', 0, {}],
] as const;

const workerHistograms = [
  'millrace_run_duration_seconds',
  'millrace_run_queue_wait_seconds',
  'millrace_run_host_wait_seconds',
] as const;

describe('logs and metrics', () => {
  const stack = useStack({
    models: fixtureModels('identity-string'),
    env: { MILLRACE_LOG_LEVEL: 'trace' },
  });
  let client: Client;
  let atFirst: { readonly api: Metrics; readonly worker: Metrics };
  before(async () => {
    client = new Client(stack());
    atFirst = { api: await scrape(stack().apis[0]!), worker: await scrape(stack().workers[0]!) };
    const sent = Array.from({ length: 9 }, (_, i) => [payload, String(i), '']);
    const answers = await Promise.all(
      sent.map((row, i) =>
        client.predictWith('identity-string', row, {}, { headers: { 'x-request-id': `order-${i}` } }),
      ),
    );
    expect(answers.map(outputOf)).to.deep.equal(sent);
    expect(answers.map(({ headers }) => headers['x-request-id'])).to.deep.equal(
      sent.map((_, i) => `order-${i}`),
    );
    const call = { headers: { 'x-request-id': 'order-refused' } };
    const refused = await client.predictWith('identity-string', [payload, payload], {}, call);
    expect(refused.status).to.equal(400);
    expect(refused.body.error.request_id).to.equal('order-refused');
  });
  after(() => client.close());

  it('each request is one line of the API with its request_id', async () => {
    const api = stack().apis[0]!;
    await api.logged(/"request_id":"order-refused"/);
    const lines = api.log
      .split('\n')
      .filter((line) => line.includes('"request_id":"order-'))
      .map((line) => JSON.parse(line) as Record<string, unknown>);
    expect(lines.map((line) => line['request_id'])).to.have.members([
      ...Array.from({ length: 9 }, (_, i) => `order-${i}`),
      'order-refused',
    ]);
    for (const line of lines) {
      const refused = line['request_id'] === 'order-refused';
      expect(line).to.include({
        'http.route': '/api/v1/models/{model}/predict',
        'http.response.status_code': refused ? 400 : 200,
        'millrace.model': 'identity-string',
      });
      expect(line['event.duration']).to.be.a('number').above(0);
    }
  });

  it('no line of any process shows a key or what was asked', async () => {
    await stack().workers[0]!.logged(/"event.dataset":"millrace.run"/);
    const logs = stack().logs();
    expect(logs).to.include('identity-string');
    expect(logs.includes(payload), 'the payload').to.equal(false);
    expect(logs.includes(stack().key), 'the API key').to.equal(false);
    const secret = stack().key.split('_')[3]!;
    expect(logs.includes(secret), 'the secret part of the API key').to.equal(false);
  });

  it('requests, errors, waits, runs and batch sizes are counted in the API', async () => {
    const api = await scrape(stack().apis[0]!);
    for (const [name, moved, labels] of apiMetrics)
      expect([name, api.sum(name, labels) - atFirst.api.sum(name, labels)]).to.deep.equal([name, moved]);
    expect(api.sum('millrace_requests_in_flight')).to.equal(0);
    expect(api.sum('millrace_jobs_total', { phase: 'settled' })).to.equal(
      api.sum('millrace_jobs_total', { phase: 'submitted' }),
    );
  });

  it('runs and hosts are counted in the worker', async () => {
    const worker = await scrape(stack().workers[0]!);
    for (const [name, value, labels] of workerMetrics)
      expect([name, worker.sum(name, labels)]).to.deep.equal([name, value]);
    const runCount = worker.sum('millrace_runs_total', { outcome: 'succeeded' });
    for (const name of workerHistograms)
      expect([name, worker.sum(`${name}_count`)]).to.deep.equal([name, runCount]);
    expect(runCount - atFirst.worker.sum('millrace_runs_total')).to.be.within(1, 9);
  });

  it('the parts of a prediction add up to no more than the whole', async () => {
    const api = await scrape(stack().apis[0]!);
    const parts = ['batch_wait', 'queue_wait', 'run'].map((part) =>
      api.sum(`millrace_predict_${part}_seconds_sum`),
    );
    const whole = api.sum('millrace_predict_duration_seconds_sum');
    expect(parts.reduce((sum, part) => sum + part)).to.be.at.most(whole);
    for (const part of parts) expect(part).to.be.at.least(0);
  });
});
