import { expect } from 'chai';
import type { Redis } from 'ioredis';
import { until } from '../../src/dev/readiness.ts';
import { pressureOf } from '../../src/queues/memory-guard.ts';
import { startRedis } from '../support/redis-server.ts';
import type { TestRedis } from '../support/redis-server.ts';
import { startStack } from '../support/stack.ts';
import type { Stack } from '../support/stack.ts';
import { Client, outputOf } from './client.ts';
import { fixtureModels } from './fixture-models.ts';
import { isBusy, isIdle, scrape, untilMetrics } from './metrics.ts';
import { untilQueuesAreEmpty, withRedis } from './redis.ts';

const pieceBytes = 200_000;
const settledTimeoutMs = 15_000;

describe('a Redis that fills up', () => {
  let redis: TestRedis;
  let stack: Stack;
  let client: Client;
  before(async function () {
    this.timeout(60_000);
    redis = await startRedis(['--maxmemory', '24mb', '--maxmemory-policy', 'noeviction']);
    stack = await startStack({ redis, models: fixtureModels('nonce', 'slow-loop') });
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

  const pressure = async (server: Redis): Promise<number> => pressureOf(await server.info('memory'));

  /** Adds to the filler until `isFull` says so. */
  async function fill(server: Redis, isFull: () => Promise<boolean>): Promise<void> {
    for (let piece = 0; !(await isFull()); piece += 1)
      await server.set(`filler-${piece}`, Buffer.alloc(pieceBytes));
  }

  /** Resolves once somebody beside this test, which is the guard, has asked Redis how it is. */
  async function guardLooked(server: Redis): Promise<void> {
    const asked = async (): Promise<number> =>
      Number(/cmdstat_info:calls=(\d+)/.exec(await server.info('commandstats'))?.[1] ?? 0);
    const before = await asked();
    let own = 0;
    await until(async () => {
      own += 1;
      return (await asked()) > before + own;
    }, AbortSignal.timeout(settledTimeoutMs));
  }

  async function empty(server: Redis): Promise<void> {
    const fillers = await server.keys('filler-*');
    if (fillers.length > 0) await server.unlink(...fillers);
  }

  const untilServed = (): Promise<void> =>
    until(async () => {
      const answer = await client.predictWith('nonce', [1]);
      return answer.status === 200;
    }, AbortSignal.timeout(settledTimeoutMs));

  it('refuses new work before 80 % are in use, finishes what was accepted, and takes work again by itself', async function () {
    this.timeout(60_000);
    await withRedis(stack, async (server) => {
      await untilServed();
      const accepted = client.predictWith('slow-loop', 20_000, { timeout_ms: 20_000 });
      await untilMetrics(stack.workers[0]!, isBusy);
      let refusedAt = 0;
      await fill(server, async () => {
        const used = await pressure(server);
        // Piece by piece once it matters: nothing fills a Redis faster than the guard looks but a test.
        if (used > 0.5) await guardLooked(server);
        const { status, headers, body } = await client.predictWith('nonce', [7], { timeout_ms: 10_000 });
        if (status === 200) return false;
        expect([status, body.error.code]).to.deep.equal([503, 'service_unavailable']);
        expect(body.error.message).to.equal('The queue is short of memory');
        expect(Number(headers['retry-after'])).to.be.at.least(1);
        refusedAt = used;
        return true;
      });
      // What is in use goes up by about a hundredth a piece.
      expect(refusedAt).to.be.within(0.7, 0.8);
      expect(outputOf(await accepted), 'what was accepted').to.equal(20_000);
      await empty(server);
    });
    await untilServed();
    const api = await scrape(stack.apis[0]!);
    expect(api.sum('millrace_rejected_total', { stage: 'memory' })).to.be.at.least(1);
    await untilQueuesAreEmpty(stack);
  });

  it('loses nothing when it is full all the same: what could not be settled runs again, honest errors else', async function () {
    this.timeout(60_000);
    await withRedis(stack, async (server) => {
      const callers = Array.from({ length: 8 }, async () =>
        client.predictWith('slow-loop', 8000, { timeout_ms: 15_000 }),
      );
      await untilMetrics(stack.workers[0]!, isBusy);
      // Below what Redis has in use: from now on it refuses whatever could need memory, scripts that settle jobs too.
      await server.config('SET', 'maxmemory', '1mb');
      const during = await client.predictWith('nonce', [9], { timeout_ms: 2000 });
      expect(during.status).to.equal(503);
      await until(async () => {
        const info = await server.info('errorstats');
        return info.includes('errorstat_OOM');
      }, AbortSignal.timeout(settledTimeoutMs));
      await server.config('SET', 'maxmemory', '24mb');
      const answers = await Promise.all(callers);
      for (const answer of answers) {
        if (answer.status === 200) expect(outputOf(answer)).to.equal(8000);
        else expect([503, 504]).to.include(answer.status);
      }
    });
    await untilServed();
    await untilMetrics(stack.apis[0]!, isIdle);
    await untilQueuesAreEmpty(stack);
  });
});
