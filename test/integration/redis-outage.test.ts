import { expect } from 'chai';
import { until } from '../../src/dev/readiness.ts';
import { startRedis } from '../support/redis-server.ts';
import type { TestRedis } from '../support/redis-server.ts';
import { startStack } from '../support/stack.ts';
import type { Stack } from '../support/stack.ts';
import { Client, outputOf } from './client.ts';
import { fixtureModels } from './fixture-models.ts';
import { startLoad } from './load.ts';
import { isIdle, untilMetrics } from './metrics.ts';
import { withRedis } from './redis.ts';

const recoveryMs = 15_000;

describe('Redis', () => {
  let redis: TestRedis;
  let stack: Stack;
  let client: Client;
  before(async function () {
    this.timeout(60_000);
    redis = await startRedis();
    stack = await startStack({ redis, models: fixtureModels('nonce'), workers: 1 });
    client = new Client(stack);
  });
  afterEach(function () {
    if (this.currentTest?.state === 'failed') process.stderr.write(`${stack.logs()}\n`);
  });
  after(async function () {
    this.timeout(60_000);
    client.close();
    await stack.stop();
    await redis.stop();
  });

  async function statusOfPredict(timeoutMs = 2000): Promise<number> {
    const { status } = await client.predictWith('nonce', [1], { timeout_ms: timeoutMs });
    return status;
  }

  async function untilServing(): Promise<void> {
    await until(async () => (await statusOfPredict()) === 200, AbortSignal.timeout(recoveryMs));
  }

  it('killed and back under load: 503 at once while it is gone, then served again, nothing restarted', async () => {
    const pids = [stack.apis[0]!.pid, stack.workers[0]!.pid];
    const load = startLoad({ client, callers: 4, timeoutMs: 2000 });
    await load.answered(100);
    await redis.kill();
    // What it held at that moment may be gone with it: a 504 at the deadline. Then come the 503.
    await until(async () => (await statusOfPredict()) === 503, AbortSignal.timeout(recoveryMs));
    for (let i = 0; i < 20; i++) {
      // A minute until the deadline: an answer that waited for it would end this test.
      const refused = await client.predictWith('nonce', [1], { timeout_ms: 60_000 });
      expect(refused.status).to.equal(503);
      expect(refused.body.error.code).to.equal('service_unavailable');
      expect(Number(refused.headers['retry-after'])).to.be.at.least(1);
    }
    const { status } = await fetch(`${stack.url}/readyz`);
    expect(status).to.equal(503);

    await redis.restart();
    await untilServing();
    await load.answered(100);
    const { wrong, broken, statuses } = await load.stop();
    expect({ wrong, broken }).to.deep.equal({ wrong: [], broken: [] });
    expect(Object.keys(statuses)).to.include.members(['200', '503']);
    expect(['200', '503', '504']).to.include.members(Object.keys(statuses));
    expect([stack.apis[0]!.pid, stack.workers[0]!.pid]).to.deep.equal(pids);

    const numbers = Array.from({ length: 50 }, (_, x) => x);
    const after = await Promise.all(numbers.map((x) => client.predictWith('nonce', [x])));
    expect(after.map(outputOf)).to.deep.equal(numbers.map((x) => [3 * x + 1]));
    await untilMetrics(stack.apis[0]!, isIdle);
  });

  for (const type of ['pubsub', 'normal'] as const) {
    it(`cuts all ${type} connections under load, again and again: no answer is wrong and none is missing`, async () => {
      const load = startLoad({ client, callers: 8, timeoutMs: 5000 });
      for (let i = 0; i < 3; i++) {
        await untilServing();
        await load.answered(50);
        const cut = await withRedis(stack, (admin) =>
          admin.call('CLIENT', 'KILL', 'TYPE', type, 'SKIPME', 'yes'),
        );
        expect(cut).to.be.at.least(1);
      }
      await load.answered(50);
      const { wrong, broken, statuses } = await load.stop();
      expect({ wrong, broken }).to.deep.equal({ wrong: [], broken: [] });
      // Results of a lost subscription are read back; a lost command connection refuses until it is back.
      if (type === 'pubsub') expect(statuses).to.have.all.keys('200');
      else expect(['200', '503']).to.include.members(Object.keys(statuses));
      await untilServing();
      await untilMetrics(stack.apis[0]!, isIdle);
    });
  }

  it('comes later than API and worker: they wait for it, and serve when it is there', async () => {
    const [api, worker] = [stack.apis[0]!, stack.workers[0]!];
    await api.stop();
    await worker.stop();
    await redis.kill();
    worker.start();
    api.start();
    await until(
      async () => (await fetch(`${api.url}/livez`)).status === 200,
      AbortSignal.timeout(recoveryMs),
    );
    expect(await statusOfPredict(60_000)).to.equal(503);
    await until(
      async () => (await fetch(`${worker.adminUrl}/livez`)).status === 200,
      AbortSignal.timeout(recoveryMs),
    );
    expect((await fetch(`${api.url}/readyz`)).status).to.equal(503);

    await redis.restart();
    await Promise.all([api.ready(), worker.ready()]);
    await untilServing();
  });
});
