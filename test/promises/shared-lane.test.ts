import { expect } from 'chai';
import { until } from '../../src/dev/readiness.ts';
import { scrape } from '../integration/metrics.ts';
import { untilQueuesAreEmpty } from '../integration/redis.ts';
import { BatchClient } from './support/batch-client.ts';
import { linesOf, nonceRows, problemOf } from './support/known-rows.ts';
import { otherCaller } from './support/other-caller.ts';
import { expectHonest, useHarmable } from './support/promise-stack.ts';
import { sized } from './support/schedule.ts';
import { startTraffic } from './support/traffic.ts';

/** Chunks of one row and of some 0.1 s, so that they can be counted as they go by. */
const slowRows = sized(50, 600);
const iterations = 2500;
const window = 8;
const inHandMax = 4;
const smallRows = 10;
const giveUpMs = 180_000;

describe('a large batch that keeps all hosts busy', () => {
  const harmable = useHarmable(
    {
      env: {
        MILLRACE_WORKER_HOSTS: '2',
        MILLRACE_WORKER_BULK_CONCURRENCY: String(inHandMax),
        MILLRACE_BATCH_CHUNK_ROWS_MAX: '1',
        MILLRACE_BATCH_WINDOW_CHUNKS: String(window),
      },
    },
    ['slow-loop'],
  );
  let client: BatchClient;
  beforeEach(() => (client = new BatchClient(harmable().stack, giveUpMs)));

  const slowLines = Array.from({ length: slowRows }, () => `${iterations}\n`);
  const slowResults = Array.from({ length: slowRows }, (_, row) =>
    JSON.stringify({ row, id: null, output: iterations }),
  );

  /** Resolves once chunks of it have been settled. */
  async function submitLarge(): Promise<string> {
    const { id } = await client.submit({ model: 'slow-loop', lines: slowLines });
    await until(async () => (await client.batch(id)).counts.succeeded > 2, AbortSignal.timeout(giveUpMs));
    return id;
  }

  async function runsOf(model: string): Promise<number> {
    return (await scrape(harmable().stack.workers[0]!)).sum('millrace_runs_total', { model, lane: 'bulk' });
  }

  it('lets small ones of the same and of another caller pass, and all predictions', async function () {
    this.timeout(2 * giveUpMs);
    const { stack } = harmable();
    const other = new BatchClient(await otherCaller(stack), giveUpMs);
    const traffic = startTraffic({ stack, callers: 4, timeoutMs: 10_000 });
    await traffic.served(20);
    const large = await submitLarge();
    const settledCount = async (): Promise<number> => (await client.batch(large)).counts.succeeded;
    const before = await settledCount();
    const problems = await Promise.all(
      [client, other].map(async (caller, number) => {
        const lines = linesOf(nonceRows, number, smallRows);
        const { id } = await caller.submit({ model: 'nonce', lines });
        await caller.ended(id);
        return problemOf(nonceRows, number, smallRows, await caller.results(id));
      }),
    );
    // Ahead of each small batch is the window of its owner, and then a chunk for each of its own, at most.
    expect((await settledCount()) - before).to.be.at.most(2 * window + smallRows + inHandMax);
    expect((await client.batch(large)).status).to.equal('running');
    expect(problems).to.deep.equal([undefined, undefined]);
    await traffic.served(20);
    expectHonest(await traffic.stop(), [200]);

    await client.cancel(large);
  });

  it('stands still while it is paused, lets others pass, and goes on', async function () {
    this.timeout(2 * giveUpMs);
    const { stack } = harmable();
    const id = await submitLarge();
    await client.setPaused(id, true);
    await untilQueuesAreEmpty(stack);
    const { counts } = await client.batch(id);
    const other = await client.submit({ model: 'nonce', lines: linesOf(nonceRows, 2, smallRows) });
    await client.ended(other.id);
    const still = await client.batch(id);
    expect(still).to.deep.include({ status: 'running', paused: true, counts });
    expect(counts.succeeded).to.be.below(slowRows);
    await client.setPaused(id, false);
    expect((await client.ended(id)).counts).to.deep.equal({
      total: slowRows,
      succeeded: slowRows,
      failed: 0,
    });
    expect(await client.results(id)).to.deep.equal(slowResults);
  });

  it('is not run on once its cancellation was answered, but for what was in hand', async function () {
    this.timeout(giveUpMs);
    const { stack } = harmable();
    const id = await submitLarge();
    expect((await client.cancel(id)).status).to.equal(202);
    const runCount = await runsOf('slow-loop');
    const { counts } = await client.batch(id);
    // All that was in the lane has left it, and what would come after is behind another batch.
    await untilQueuesAreEmpty(stack);
    const other = await client.submit({ model: 'nonce', lines: linesOf(nonceRows, 3, smallRows) });
    await client.ended(other.id);
    expect((await runsOf('slow-loop')) - runCount).to.be.at.most(inHandMax);
    const cancelled = await client.batch(id);
    expect(cancelled).to.deep.include({ status: 'cancelled', counts });
    const results = await client.results(id);
    expect(results).to.have.length(counts.succeeded);
    expect(slowResults).to.include.members([...results]);
    expect(counts.succeeded).to.be.below(slowRows);
  });
});
