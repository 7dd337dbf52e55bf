import { expect } from 'chai';
import { until } from '../../src/dev/readiness.ts';
import { createRedisKeys } from '../../src/queues/lanes.ts';
import { Client, outputOf } from '../integration/client.ts';
import { isBusy, untilMetrics } from '../integration/metrics.ts';
import { withRedis } from '../integration/redis.ts';
import { expectHonest, expectSettled, pidsOf, useHarmable } from './support/promise-stack.ts';
import { startTraffic } from './support/traffic.ts';

const waitMs = 15_000;
/** About half a second of work. */
const iterations = 20_000;

describe('Redis loses all its keys (FLUSHALL)', () => {
  const harmable = useHarmable({ apis: 2, workers: 2 }, ['slow-loop']);

  const flushAll = () => withRedis(harmable().stack, (redis) => redis.flushall());

  it('under load: every request is answered with its own numbers or refused fast, and nothing restarts', async () => {
    const { stack } = harmable();
    const pids = pidsOf(stack);
    const traffic = startTraffic({ stack, callers: 64, timeoutMs: 15_000 });
    await traffic.served(500);
    await flushAll();
    await traffic.served(500);
    // No 504: nobody waits for a job that is gone until his deadline.
    expectHonest(await traffic.stop(), [200, 503]);
    await expectSettled(stack);
    expect(pidsOf(stack)).to.deep.equal(pids);
  });

  it('with a job in hand: it is answered', async () => {
    const { stack } = harmable();
    const client = new Client(stack);
    const held = client.predictWith('slow-loop', iterations, { timeout_ms: 15_000 });
    await Promise.any(stack.workers.map((worker) => untilMetrics(worker, isBusy)));
    await flushAll();
    expect(outputOf(await held)).to.equal(iterations);
    client.close();
    await expectSettled(stack);
  });

  it('with jobs that wait: they are submitted again under their own ids', async () => {
    const { stack } = harmable();
    const client = new Client(stack);
    for (const worker of stack.workers) worker.signal('SIGSTOP');
    // One after the other, so that each is a job; the second pair waits in the API for the first to come back.
    const numbers = [1e9, 2e9, 3e9, 4e9];
    const held = numbers.map((x) => client.predictWith('nonce', [x], { timeout_ms: 60_000 }));
    const waiting = `${createRedisKeys(stack.redisPrefix).bullmq}:default.online:wait`;
    await withRedis(stack, async (redis) => {
      await until(async () => (await redis.llen(waiting)) > 0, AbortSignal.timeout(waitMs));
      await redis.flushall();
    });
    for (const worker of stack.workers) worker.signal('SIGCONT');
    expect((await Promise.all(held)).map(outputOf)).to.deep.equal(numbers.map((x) => [3 * x + 1]));
    client.close();
    await expectSettled(stack);
  });
});
