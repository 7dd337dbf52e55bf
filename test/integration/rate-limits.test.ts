import { join } from 'node:path';
import { expect } from 'chai';
import { issueKey } from '../../src/api/keys/issue-key.ts';
import { SqliteKeyStore } from '../../src/api/keys/sqlite-key-store.ts';
import { until } from '../../src/dev/readiness.ts';
import { startRedis } from '../support/redis-server.ts';
import type { TestRedis } from '../support/redis-server.ts';
import { startStack } from '../support/stack.ts';
import type { Stack } from '../support/stack.ts';
import { scrape, untilMetrics } from './metrics.ts';

const recoveryMs = 15_000;
const windowMs = 60_000;

/** Two API processes and one Redis; every answer is counted. */
describe('rate limits', () => {
  let redis: TestRedis;
  let stack: Stack;
  before(async function () {
    this.timeout(60_000);
    redis = await startRedis();
    stack = await startStack({
      redis,
      apis: 2,
      workers: 0,
      env: { MILLRACE_RATE_LIMITS_API_PROCESSES: '2' },
    });
  });
  afterEach(function () {
    if (this.currentTest?.state === 'failed') process.stderr.write(`${stack.logs()}\n`);
  });
  after(async function () {
    this.timeout(60_000);
    await stack.stop();
    await redis.stop();
  });

  async function keyWith(ratePerMinute: number): Promise<string> {
    const store = new SqliteKeyStore(join(stack.home, 'keys.db'));
    const request = { name: 'a', scopes: ['models:read'], environment: 'test', ratePerMinute } as const;
    const { key } = await issueKey(store, { ...request, expiresAtMs: null }, Date.now());
    await store.close();
    return key;
  }

  async function ask(key: string, api: number): Promise<Response> {
    const response = await fetch(`${stack.apis[api]!.url}/api/v1/models`, { headers: { 'x-api-key': key } });
    await response.arrayBuffer();
    return response;
  }

  /** How many of `count` requests, from as many callers at once, were allowed. Nothing but 200 and 429 may come. */
  async function allowed(key: string, count: number, callers = 16): Promise<number> {
    let asked = 0;
    let taken = 0;
    await Promise.all(
      Array.from({ length: callers }, async () => {
        while (asked < count) {
          const response = await ask(key, asked++ % 2);
          expect(response.status).to.be.oneOf([200, 429]);
          if (response.status === 200) taken += 1;
          else expect(Number(response.headers.get('retry-after'))).to.be.within(1, 62);
        }
      }),
    );
    return taken;
  }

  it('hold over both processes and over the edge of the window, and give all of it again', async function () {
    this.timeout(120_000);
    const key = await keyWith(600);
    const startedAtMs = performance.now();
    expect(await allowed(key, 900)).to.be.within(0.95 * 600, 600);
    // What the other process holds comes back within two seconds, and not more than that.
    let late = 0;
    await until(async () => {
      if (performance.now() - startedAtMs > windowMs - 1000) return true;
      if ((await ask(key, 0)).status === 200) late += 1;
      return false;
    }, AbortSignal.timeout(windowMs));
    expect(late).to.be.at.most(0.05 * 600);
    await until(async () => (await ask(key, 1)).status === 200, AbortSignal.timeout(recoveryMs));
    expect(performance.now() - startedAtMs).to.be.at.least(windowMs);
    let again = 1;
    await until(async () => {
      const more = await allowed(key, 300);
      again += more;
      return again > 0.95 * 600 && more === 0;
    }, AbortSignal.timeout(recoveryMs));
    expect(again).to.be.at.most(600);
    const scraped = await Promise.all(stack.apis.map((api) => scrape(api)));
    const refused = scraped.map((metrics) =>
      metrics.sum('millrace_rate_limited_total', { class: 'default' }),
    );
    expect(Math.min(...refused)).to.be.at.least(1);
  });

  it('hold for each process alone while Redis is gone, without an error or a wait, and together again after', async function () {
    this.timeout(60_000);
    const key = await keyWith(200);
    expect(await allowed(key, 20)).to.equal(20);
    await redis.kill();
    expect(await allowed(key, 400)).to.be.within(0.9 * 180, 200);
    for (const api of stack.apis) {
      await untilMetrics(api, (metrics) => metrics.sum('millrace_rate_limits_local') === 1);
      // Each is a wait, at most: of some 200 requests few have asked Redis.
      expect((await scrape(api)).sum('millrace_rate_limit_trips_total', { outcome: 'lost' })).to.be.below(20);
    }
    await redis.restart();
    const other = await keyWith(100);
    await until(async () => {
      await Promise.all([ask(other, 0), ask(other, 1)]);
      const scraped = await Promise.all(stack.apis.map((api) => scrape(api)));
      return scraped.every((metrics) => metrics.sum('millrace_rate_limits_local') === 0);
    }, AbortSignal.timeout(recoveryMs));
    const third = await keyWith(100);
    expect(await allowed(third, 200)).to.be.within(95, 100);
  });

  it('count callers without a key by address, over both processes', async () => {
    const statuses = [];
    for (let each = 0; each < 30; each++) {
      const response = await fetch(`${stack.apis[each % 2]!.url}/api/v1/openapi.json`);
      await response.arrayBuffer();
      statuses.push(response.status);
    }
    expect(statuses.filter((status) => status === 200).length).to.be.within(15, 20);
    for (const path of ['/livez', '/api/v1/health'])
      for (let each = 0; each < 30; each++)
        expect((await fetch(`${stack.url}${path}`)).status).not.to.equal(429);
  });
});
