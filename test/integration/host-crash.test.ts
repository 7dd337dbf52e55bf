import { expect } from 'chai';
import { descendantsOf } from '../support/processes.ts';
import { useStack } from '../support/stack.ts';
import { Client, outputOf } from './client.ts';
import { fixtureModels } from './fixture-models.ts';
import { startLoad } from './load.ts';
import { isBusy, scrape, untilMetrics } from './metrics.ts';

/** About a second of work: long enough that the host is certainly killed within it. */
const iterations = 30_000;

describe('kill -9 of a host', () => {
  const stack = useStack({ models: fixtureModels('slow-loop', 'nonce') });
  let client: Client;
  before(() => (client = new Client(stack())));
  after(() => client.close());

  it('with a request in flight and others behind it: all are answered, from a host apart and from its replacement', async () => {
    const worker = stack().workers[0]!;
    const [host, ...more] = descendantsOf(worker.pid);
    expect(more, 'hosts of this worker beside the one').to.deep.equal([]);

    const held = client.predictWith('slow-loop', iterations, { timeout_ms: 15_000 });
    await untilMetrics(worker, isBusy);
    const behind = Array.from({ length: 20 }, (_, x) =>
      client.predictWith('nonce', [x], { timeout_ms: 15_000 }),
    );
    process.kill(host!, 'SIGKILL');

    expect(outputOf(await held)).to.equal(iterations);
    expect((await Promise.all(behind)).map(outputOf)).to.deep.equal(behind.map((_, x) => [3 * x + 1]));
    const metrics = await scrape(worker);
    expect(metrics.sum('millrace_host_deaths_total')).to.equal(1);
    expect(descendantsOf(worker.pid)).to.have.length(2).and.not.include(host);
    // Any host may be killed by something else than its run.
    expect(metrics.sum('millrace_version_faults_total')).to.equal(0);
  });

  it('again and again under load, the one that serves and the one apart: no request fails', async () => {
    const worker = stack().workers[0]!;
    const load = startLoad({ client, callers: 8, timeoutMs: 15_000 });
    for (let deaths = 2; deaths <= 7; deaths++) {
      await load.answered(100);
      const hosts = descendantsOf(worker.pid);
      process.kill(hosts[deaths % hosts.length]!, 'SIGKILL');
      await untilMetrics(worker, (metrics) => metrics.sum('millrace_host_deaths_total') === deaths);
    }
    await load.answered(100);
    const { wrong, broken, statuses } = await load.stop();
    expect({ wrong, broken }).to.deep.equal({ wrong: [], broken: [] });
    expect(statuses).to.have.all.keys('200');
  });

  it('while nothing runs: the next request is answered', async () => {
    const worker = stack().workers[0]!;
    // One at a time: whoever dies in a serving host and then in the host apart counts as a killer.
    for (const host of descendantsOf(worker.pid)) {
      process.kill(host, 'SIGKILL');
      expect(outputOf(await client.predictWith('nonce', [5], { timeout_ms: 15_000 }))).to.deep.equal([16]);
    }
    expect(client.statuses).to.deep.equal({ 200: client.sent });
  });
});
