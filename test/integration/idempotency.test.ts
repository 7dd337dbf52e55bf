import { randomUUID } from 'node:crypto';
import { expect } from 'chai';
import { until } from '../../src/dev/readiness.ts';
import { useStack } from '../support/stack.ts';
import { Client, outputOf } from './client.ts';
import type { Answer } from './client.ts';
import { fixtureModels } from './fixture-models.ts';
import { isBusy, isIdle, scrape, untilMetrics } from './metrics.ts';

/** About a second of work: long enough that something certainly happens within it. */
const iterations = 30_000;

describe('predictions with an idempotency key, with two API processes', () => {
  const stack = useStack({ models: fixtureModels('slow-loop', 'nonce'), apis: 2 });
  let clients: readonly Client[];
  before(() => (clients = stack().apis.map(({ url }) => new Client({ url, key: stack().key }))));
  after(() => {
    for (const client of clients) client.close();
  });

  function predict(client: number, model: string, inputs: unknown, key: string, signal?: AbortSignal) {
    const call = { headers: { 'idempotency-key': key }, ...(signal === undefined ? {} : { signal }) };
    return clients[client]!.predictWith(model, inputs, { timeout_ms: 15_000 }, call);
  }

  async function runsOf(model: string): Promise<number> {
    return (await scrape(stack().workers[0]!)).sum('millrace_runs_total', { model });
  }

  const isReplayed = ({ headers }: Answer) => headers['idempotency-replayed'] === 'true';

  it('that are equal and come at once are one run and one answer', async () => {
    const key = randomUUID();
    const answers = await Promise.all(
      Array.from({ length: 100 }, (_, n) => predict(n % 2, 'nonce', [7], key)),
    );
    expect(new Set(answers.map(({ text }) => text)).size).to.equal(1);
    expect(outputOf(answers[0]!)).to.deep.equal([22]);
    expect(answers.filter(isReplayed)).to.have.length(99);
    expect(await runsOf('nonce')).to.equal(1);
    const apis = await Promise.all(stack().apis.map((api) => scrape(api)));
    const counted = (outcome: string) =>
      apis.reduce((sum, api) => sum + api.sum('millrace_keyed_requests_total', { outcome }), 0);
    expect(['computed', 'replayed', 'taken_over', 'refused'].map(counted)).to.deep.equal([1, 99, 0, 0]);
  });

  it('are 409 with another body, path or query, and 400 with a bad key', async () => {
    const key = randomUUID();
    const first = await predict(0, 'nonce', [1], key);
    const other = await predict(1, 'nonce', [2], key);
    expect([first.status, other.status, other.body.error.code]).to.deep.equal([200, 409, 'conflict']);
    expect(other.body.error.details).to.deep.equal([
      {
        path: 'header Idempotency-Key',
        expected: 'a new key, or the request that this one was first used for',
        found: 'another body',
      },
    ]);
    expect((await predict(1, 'slow-loop', [1], key)).status).to.equal(409);
    expect((await predict(1, 'nonce', [1], 'a b')).status).to.equal(400);
    expect((await predict(1, 'nonce', [1], key)).text).to.equal(first.text);
  });

  it('are found by a caller who left and comes back: nothing runs again', async () => {
    const key = randomUUID();
    const before = await runsOf('slow-loop');
    const leaving = new AbortController();
    const left = predict(0, 'slow-loop', iterations, key, leaving.signal).catch(() => 'left');
    await untilMetrics(stack().workers[0]!, isBusy);
    leaving.abort();
    expect(await left).to.equal('left');
    const found = await predict(1, 'slow-loop', iterations, key);
    expect(outputOf(found)).to.equal(iterations);
    expect(isReplayed(found)).to.equal(true);
    expect(await runsOf('slow-loop')).to.equal(before + 1);
    await untilMetrics(stack().apis[0]!, isIdle);
  });

  it('survive kill -9 of the process at work: another one answers, and once', async () => {
    const key = randomUUID();
    const cut = predict(0, 'slow-loop', iterations, key).catch(() => 'cut');
    await untilMetrics(stack().workers[0]!, isBusy);
    await stack().apis[0]!.kill('SIGKILL');
    expect(await cut).to.equal('cut');
    const answers = await Promise.all(
      Array.from({ length: 10 }, () => predict(1, 'slow-loop', iterations, key)),
    );
    expect(new Set(answers.map(({ text }) => text)).size).to.equal(1);
    expect(outputOf(answers[0]!)).to.equal(iterations);
    expect(answers.filter(isReplayed)).to.have.length(9);

    stack().apis[0]!.start();
    await stack().apis[0]!.ready();
    let again = answers[0]!;
    await until(async () => {
      again = await predict(0, 'slow-loop', iterations, key);
      return again.status !== 503;
    }, AbortSignal.timeout(15_000));
    expect(again.text).to.equal(answers[0]!.text);
  });
});
