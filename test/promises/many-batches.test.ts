import { expect } from 'chai';
import { until } from '../../src/dev/readiness.ts';
import { mapConcurrently } from '../integration/client.ts';
import { isIdle, untilMetrics } from '../integration/metrics.ts';
import { untilQueuesAreEmpty } from '../integration/redis.ts';
import { BatchClient } from './support/batch-client.ts';
import { linesOf, nonceRows, problemOf } from './support/known-rows.ts';
import { pidsOf, useHarmable } from './support/promise-stack.ts';
import { sized } from './support/schedule.ts';

const batchCount = sized(500, 5000);
/** Reads at once, of one caller: all submissions are at once. */
const readers = 8;
const giveUpMs = sized(120_000, 900_000);

describe(`${batchCount} batches of one row at once`, () => {
  const harmable = useHarmable({ apis: 2, workers: 2 });

  it('each ends with its own row, and nothing is left in hand', async function () {
    this.timeout(giveUpMs);
    const { stack } = harmable();
    const pids = pidsOf(stack);
    const client = new BatchClient(stack, giveUpMs);
    const numbers = Array.from({ length: batchCount }, (_, number) => number);
    const batches = await Promise.all(
      numbers.map((number) => client.submit({ model: 'nonce', lines: linesOf(nonceRows, number, 1) })),
    );
    expect(new Set(batches.map(({ id }) => id)).size).to.equal(batchCount);
    await until(async () => {
      const listed = await client.list();
      expect(listed.length).to.equal(batchCount);
      return listed.every(({ status }) => status === 'completed');
    }, AbortSignal.timeout(giveUpMs));
    const problems = await mapConcurrently(batches, readers, async ({ id }, number) =>
      problemOf(nonceRows, number, 1, await client.results(id)),
    );
    expect(problems.filter((problem) => problem !== undefined)).to.deep.equal([]);
    await Promise.all(stack.apis.map((api) => untilMetrics(api, isIdle)));
    await untilQueuesAreEmpty(stack);
    expect(pidsOf(stack)).to.deep.equal(pids);
  });
});
