import { expect } from 'chai';
import { until } from '../../src/dev/readiness.ts';
import { descendantsOf, isAlive } from '../support/processes.ts';
import { useStack } from '../support/stack.ts';
import { Client, outputOf } from './client.ts';
import { fixtureModels } from './fixture-models.ts';
import { startLoad } from './load.ts';
import { isBusy, scrape, untilMetrics } from './metrics.ts';
import { untilQueuesAreEmpty } from './redis.ts';

const models = fixtureModels('nonce', 'slow-loop');
const callers = 16;
/** About half a second of work, so that the signal comes within it. */
const iterations = 20_000;
const timeoutMs = 15_000;

async function statusOf(url: string): Promise<number> {
  const response = await fetch(url);
  await response.arrayBuffer();
  return response.status;
}

describe('SIGTERM under load', () => {
  // Long enough for callers to see that the API leaves, as a load balancer would.
  const stack = useStack({ models, workers: 2, env: { MILLRACE_DRAIN_DELAY_MS: '1500' } });
  let client: Client;
  beforeEach(() => (client = new Client(stack())));
  afterEach(() => client.close());

  it('to a worker: what it holds it finishes, the other takes the rest, and no request fails', async () => {
    const [leaving, staying] = [stack().workers[0]!, stack().workers[1]!];
    const load = startLoad({ client, callers, timeoutMs });
    await load.answered(200);
    const slow = [1, 2].map((n) =>
      client.predictWith('slow-loop', iterations + n, { timeout_ms: timeoutMs }),
    );
    await untilMetrics(leaving, isBusy);
    const hosts = descendantsOf(leaving.pid);
    leaving.signal('SIGTERM');
    await until(async () => !leaving.running, AbortSignal.timeout(timeoutMs));
    await load.answered(200);

    expect((await Promise.all(slow)).map(outputOf)).to.deep.equal([1, 2].map((n) => iterations + n));
    const { wrong, broken, statuses } = await load.stop();
    expect({ wrong, broken }).to.deep.equal({ wrong: [], broken: [] });
    expect(statuses).to.have.all.keys('200');
    expect(client.statuses).to.deep.equal({ 200: client.sent });
    expect(leaving.exitCode).to.equal(0);
    expect(hosts.filter(isAlive)).to.deep.equal([]);
    expect((await scrape(staying)).sum('millrace_runs_total', { outcome: 'succeeded' })).to.be.above(0);
  });

  it('to the API: ready turns to 503 first, requests are answered until all callers have gone', async () => {
    const api = stack().apis[0]!;
    const load = startLoad({ client, callers, timeoutMs });
    await load.answered(200);
    const slow = client.predictWith('slow-loop', iterations, { timeout_ms: timeoutMs });
    expect(await statusOf(`${api.url}/readyz`)).to.equal(200);
    api.signal('SIGTERM');
    await until(async () => (await statusOf(`${api.url}/readyz`)) === 503, AbortSignal.timeout(timeoutMs));
    // It has said that it leaves and still answers whoever has not heard.
    const sentLate = client.predictWith('nonce', [1], { timeout_ms: timeoutMs });
    const { wrong, broken, statuses } = await load.stop();
    const late = await sentLate;
    expect(outputOf(late)).to.deep.equal([4]);
    expect(late.headers.connection).to.equal('close');
    expect(outputOf(await slow)).to.equal(iterations);
    expect({ wrong, broken }).to.deep.equal({ wrong: [], broken: [] });
    expect(statuses).to.have.all.keys('200');
    expect(client.statuses).to.deep.equal({ 200: client.sent });
    await until(async () => !api.running, AbortSignal.timeout(timeoutMs));
    expect(api.exitCode).to.equal(0);
    await untilQueuesAreEmpty(stack());
  });
});
