import { expect } from 'chai';
import { useStack } from '../support/stack.ts';
import { Client, outputOf } from './client.ts';
import { fixtureModels } from './fixture-models.ts';
import { isIdle, scrape, untilMetrics } from './metrics.ts';
import { untilQueuesAreEmpty } from './redis.ts';

/** About ten seconds of work: certainly not done at any deadline here. */
const endlessIterations = 400_000;

describe('a row that fails', () => {
  const models = fixtureModels('gather-strict', 'wrong-rows-on-negative', 'slow-loop', 'nonce');
  const stack = useStack({ models });
  let client: Client;
  before(() => (client = new Client(stack())));
  after(() => client.close());

  it('takes none of the 63 along that share its jobs, and is told why', async () => {
    const bad = 40;
    const indices = Array.from({ length: 64 }, (_, i) => (i === bad ? 10_007 : i % 10));
    const answers = await Promise.all(
      indices.map((index) => client.predictWith('gather-strict', index, { timeout_ms: 15_000 })),
    );
    const [refused] = answers.splice(bad, 1);
    expect(answers.map(outputOf)).to.deep.equal(indices.toSpliced(bad, 1).map((index) => 100 + index));

    expect(refused!.status).to.equal(400);
    const { code, message, details } = refused!.body.error;
    expect(code).to.equal('invalid_input');
    expect(`${message} ${JSON.stringify(details)}`).to.include('10007');
    expect(details?.[0]).to.have.property('path', 'inputs');
    const api = await scrape(stack().apis[0]!);
    expect(api.sum('millrace_batch_rows_count', { model: 'gather-strict' })).to.be.below(64);
    expect(api.sum('millrace_request_errors_total', { code: 'invalid_input' })).to.equal(1);
  });

  it('in a model that then gives too few rows back: each runs alone, and no answer is another one', async () => {
    const rows = Array.from({ length: 32 }, (_, i) => [i === 20 ? -1 : i, i + 0.5, 7]);
    const answers = await Promise.all(
      rows.map((row) => client.predictWith('wrong-rows-on-negative', row, { timeout_ms: 15_000 })),
    );
    expect(answers.map(outputOf)).to.deep.equal(rows);
    const worker = await scrape(stack().workers[0]!);
    const failed = { model: 'wrong-rows-on-negative', outcome: 'failed' };
    expect(worker.sum('millrace_runs_total', failed)).to.be.at.least(1);
    await stack().workers[0]!.logged(/rows back for .*A run of wrong-rows-on-negative/);
  });

  it('by running on: 504 at its deadline, and its host is back for the others', async () => {
    const late = await client.predictWith('slow-loop', endlessIterations, { timeout_ms: 300 });
    expect([late.status, late.body.error.code]).to.deep.equal([504, 'timeout']);
    expect(outputOf(await client.predictWith('nonce', [2], { timeout_ms: 15_000 }))).to.deep.equal([7]);
    expect(outputOf(await client.predictWith('slow-loop', 3, { timeout_ms: 15_000 }))).to.equal(3);

    const [api, worker] = [stack().apis[0]!, stack().workers[0]!];
    expect((await scrape(worker)).sum('millrace_host_deaths_total')).to.equal(1);
    await untilMetrics(api, isIdle);
    await untilQueuesAreEmpty(stack());
    expect(client.failed).to.equal(0);
  });
});
