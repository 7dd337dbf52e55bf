import { expect } from 'chai';
import { until } from '../../src/dev/readiness.ts';
import { descendantsOf, isAlive } from '../support/processes.ts';
import { useStack } from '../support/stack.ts';
import type { StackMember } from '../support/stack.ts';
import { Client, outputOf } from './client.ts';
import { fixtureModels } from './fixture-models.ts';
import { isBusy, scrape, untilMetrics } from './metrics.ts';

/** About a second of work: long enough that the worker is certainly killed within it. */
const iterations = 30_000;
const waitMs = 15_000;

describe('kill -9 of a worker', () => {
  const stack = useStack({ models: fixtureModels('slow-loop', 'nonce'), workers: 2 });
  let client: Client;
  before(() => (client = new Client(stack())));
  after(() => client.close());

  async function busyWorker(): Promise<StackMember> {
    let busy: StackMember | undefined;
    await until(async () => {
      for (const worker of stack().workers) if (isBusy(await scrape(worker))) busy = worker;
      return busy !== undefined;
    }, AbortSignal.timeout(waitMs));
    return busy!;
  }

  async function killWithHosts(worker: StackMember): Promise<void> {
    const hosts = descendantsOf(worker.pid);
    await worker.kill('SIGKILL');
    await until(async () => !hosts.some(isAlive), AbortSignal.timeout(waitMs));
  }

  async function workersHealth(): Promise<string | undefined> {
    const response = await fetch(`${stack().url}/api/v1/health`);
    const body = (await response.json()) as { dependencies: Record<string, { status: string }> };
    return body.dependencies['workers']?.status;
  }

  it('with a request in flight: the other worker answers it within its deadline', async () => {
    const held = client.predictWith('slow-loop', iterations, { timeout_ms: 15_000 });
    const killed = await busyWorker();
    const others = Array.from({ length: 20 }, (_, x) =>
      client.predictWith('nonce', [x], { timeout_ms: 15_000 }),
    );
    await killWithHosts(killed);

    expect(outputOf(await held)).to.equal(iterations);
    expect((await Promise.all(others)).map(outputOf)).to.deep.equal(others.map((_, x) => [3 * x + 1]));
    const other = stack().workers.find((worker) => worker !== killed)!;
    const ran = { model: 'slow-loop', outcome: 'succeeded' };
    // Twice where the machine is so busy that the second worker loses its lock, too; answered once in any case.
    expect((await scrape(other)).sum('millrace_runs_total', ran)).to.be.at.least(1);
  });

  it('the last one: 503 with Retry-After at once, and the next worker takes up what it held', async () => {
    const last = stack().workers.find(({ running }) => running)!;
    const held = client.predictWith('slow-loop', iterations, { timeout_ms: 60_000 });
    await untilMetrics(last, isBusy);
    await killWithHosts(last);
    await until(async () => (await workersHealth()) === 'unhealthy', AbortSignal.timeout(waitMs));

    // Answered at once and not at its deadline, which is a minute away: else this test would time out.
    const refused = await client.predictWith('nonce', [8], { timeout_ms: 60_000 });
    expect(refused.status).to.equal(503);
    expect(refused.body.error.code).to.equal('service_unavailable');
    expect(Number(refused.headers['retry-after'])).to.be.at.least(1);

    last.start();
    await last.ready();
    await until(async () => (await workersHealth()) === 'healthy', AbortSignal.timeout(waitMs));
    expect(outputOf(await client.predictWith('nonce', [9]))).to.deep.equal([28]);
    expect(outputOf(await held)).to.equal(iterations);
    expect(client.statuses).to.deep.equal({ 200: client.sent - 1, 503: 1 });
  });
});
