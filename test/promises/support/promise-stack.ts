import { expect } from 'chai';
import { until } from '../../../src/dev/readiness.ts';
import { fixtureModels } from '../../integration/fixture-models.ts';
import { isIdle, scrape, untilMetrics } from '../../integration/metrics.ts';
import { untilQueuesAreEmpty } from '../../integration/redis.ts';
import { startRedis } from '../../support/redis-server.ts';
import type { TestRedis } from '../../support/redis-server.ts';
import { startStack } from '../../support/stack.ts';
import type { Stack, StackOptions } from '../../support/stack.ts';
import type { Account } from './traffic.ts';

/** A stack on a Redis that is its own to be harmed. */
export interface Harmable {
  readonly stack: Stack;
  readonly redis: TestRedis;
}

/**
 * The defaults: it is their intervals and delays for which the promises hold, not the short ones of tests. But a log
 * line for each request would fill the memory, and no balancer has to be waited for.
 */
const defaults = {
  MILLRACE_ENVIRONMENT: 'development',
  MILLRACE_LOG_LEVEL: 'warn',
  MILLRACE_DRAIN_DELAY_MS: '0',
};

/** For a describe block, with `nonce` and `sum-rows` loaded and further models where asked for. */
export function useHarmable(
  options: Pick<StackOptions, 'apis' | 'workers' | 'env'> = {},
  models: readonly string[] = [],
): () => Harmable {
  let harmable: Harmable | undefined;
  before(async function () {
    this.timeout(60_000);
    const redis = await startRedis();
    const stack = await startStack({
      ...options,
      env: { ...defaults, ...options.env },
      redis,
      models: fixtureModels('nonce', 'sum-rows', ...models),
    });
    harmable = { stack, redis };
  });
  afterEach(function () {
    if (this.currentTest?.state === 'failed') process.stderr.write(`${harmable?.stack.logs()}\n`);
  });
  after(async function () {
    this.timeout(60_000);
    await harmable?.stack.stop();
    await harmable?.redis.stop();
  });
  return () => {
    if (harmable === undefined) throw new Error('the stack is there once the tests run');
    return harmable;
  };
}

/** Nothing is wrong, missing or late, every request has its one answer, and the statuses are among those allowed. */
export function expectHonest(account: Account, allowed: readonly number[]): void {
  const { sent, statuses, wrong, broken, late } = account;
  expect({ wrong, broken, late }, JSON.stringify(statuses)).to.deep.equal({
    wrong: [],
    broken: [],
    late: [],
  });
  expect(Object.values(statuses).reduce((sum, count) => sum + count, 0)).to.equal(sent);
  expect(allowed.map(String), JSON.stringify(statuses)).to.include.members(Object.keys(statuses));
  expect(statuses[200] ?? 0).to.be.above(0);
}

/** Nothing is in hand any more, in no process and no queue, and each job that left has ended once. */
export async function expectSettled(stack: Stack): Promise<void> {
  await Promise.all(stack.apis.map((api) => untilMetrics(api, isIdle)));
  await untilQueuesAreEmpty(stack);
  for (const api of stack.apis) {
    const metrics = await scrape(api);
    const jobs = (phase: string) => metrics.sum('millrace_jobs_total', { phase });
    expect(jobs('settled') + jobs('lost')).to.equal(jobs('submitted'));
  }
}

/** Of all processes: whoever restarts gets another. */
export function pidsOf({ apis, workers }: Stack): readonly number[] {
  return [...apis, ...workers].map(({ pid }) => pid);
}

/** Asks until a prediction is served; returns how long that took, in ms. */
export async function untilServed(stack: Stack, waitMs = 15_000): Promise<number> {
  const startedAtMs = performance.now();
  const body = { inputs: [1], parameters: { timeout_ms: 1000 } };
  await until(
    async () => (await stack.predict(body, '/api/v1/models/nonce/predict')).status === 200,
    AbortSignal.timeout(waitMs),
  );
  return performance.now() - startedAtMs;
}
