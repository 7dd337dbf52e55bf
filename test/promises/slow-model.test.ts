import { expect } from 'chai';
import { Client, outputOf } from '../integration/client.ts';
import { isBusy, scrape, untilMetrics } from '../integration/metrics.ts';
import type { StackMember } from '../support/stack.ts';
import { expectHonest, expectSettled, useHarmable } from './support/promise-stack.ts';
import { startTraffic } from './support/traffic.ts';

/** About ten seconds of work: certainly not done at any deadline here. */
const endlessIterations = 400_000;
/** Longer than a worker counts as there without a heartbeat (3 s). */
const timeoutMs = 4000;

describe('a model that runs for 10 s', () => {
  describe('in one of two hosts', () => {
    const harmable = useHarmable({ env: { MILLRACE_WORKER_HOSTS: '2' } }, ['slow-loop']);

    it('leaves other models, heartbeats and probes alone; its caller gets 504 at the deadline', async function () {
      this.timeout(60_000);
      const { stack } = harmable();
      const worker = stack.workers[0]!;
      const client = new Client(stack);
      const slow = client.predictWith('slow-loop', endlessIterations, { timeout_ms: timeoutMs });
      await untilMetrics(worker, isBusy);
      const traffic = startTraffic({ stack, callers: 8, timeoutMs });
      let asked = 0;
      let isOver = false;
      const ended = slow.finally(() => (isOver = true));
      do {
        expect(await problems(stack.url, worker)).to.deep.equal([]);
        asked += 1;
        await traffic.served(20);
      } while (!isOver);
      const { status, body } = await ended;
      expect([status, body.error.code]).to.deep.equal([504, 'timeout']);
      // It went on all the while: a host that is held up answers nobody.
      expect(asked).to.be.above(2);
      await traffic.served(20);
      expectHonest(await traffic.stop(), [200]);
      client.close();
      await expectSettled(stack);
      const deaths = (await scrape(worker)).sum('millrace_host_deaths_total');
      expect(deaths).to.equal(1);
    });
  });

  describe('in the only host', () => {
    const harmable = useHarmable({ env: { MILLRACE_WORKER_HOSTS: '1' } }, ['slow-loop']);

    it('gives it back to the others within 2 s of its deadline', async () => {
      const { stack } = harmable();
      const client = new Client(stack);
      const late = await client.predictWith('slow-loop', endlessIterations, { timeout_ms: 500 });
      expect(late.status).to.equal(504);
      // The deadline of the next is the bound.
      expect(outputOf(await client.predictWith('nonce', [2], { timeout_ms: 2000 }))).to.deep.equal([7]);
      client.close();
      await expectSettled(stack);
    });
  });
});

/** Probes that do not say yes. */
async function problems(apiUrl: string, worker: StackMember): Promise<string[]> {
  const urls = ['/livez', '/readyz'].flatMap((path) => [apiUrl + path, worker.adminUrl + path]);
  const answers = await Promise.all(urls.map(async (url) => [url, (await fetch(url)).status] as const));
  const health = (await (await fetch(`${apiUrl}/api/v1/health`)).json()) as HealthBody;
  return [
    ...answers.filter(([, status]) => status !== 200).map(([url, status]) => `${url}: ${status}`),
    ...(health.dependencies['workers']?.status === 'healthy' ? [] : ['health: no worker']),
  ];
}

interface HealthBody {
  readonly dependencies: Readonly<Record<string, { readonly status: string }>>;
}
