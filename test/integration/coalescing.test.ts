import { expect } from 'chai';
import fc from 'fast-check';
import { useStack } from '../support/stack.ts';
import { Client, outputOf } from './client.ts';
import type { Answer } from './client.ts';
import { fixtureModels } from './fixture-models.ts';
import { isIdle, scrape, untilMetrics } from './metrics.ts';
import { untilQueuesAreEmpty } from './redis.ts';

/** Digits of x · (1, 10, 100, 1000, 10000): a swapped row or column shows. */
function sumOfRow(row: readonly number[]): number {
  return row.reduce((sum, x, place) => sum + x * 10 ** place, 0);
}

describe('requests that share jobs', () => {
  const stack = useStack({ models: fixtureModels('sum-rows', 'nonce') });
  let client: Client;
  before(() => (client = new Client(stack())));
  after(() => client.close());

  it('64 at once share them, and each gets its own answer', async () => {
    const rows = Array.from({ length: 64 }, (_, i) => [i, (i * 7) % 100, (i * 13) % 100, 99 - i, i % 10]);
    const answers = await Promise.all(rows.map((row) => client.predictWith('sum-rows', row)));
    expect(answers.map(outputOf)).to.deep.equal(rows.map(sumOfRow));

    const api = await scrape(stack().apis[0]!);
    const ofModel = { model: 'sum-rows' };
    expect(api.sum('millrace_batch_rows_sum', ofModel)).to.equal(64);
    expect(api.sum('millrace_batch_entries_sum', ofModel)).to.equal(64);
    const jobCount = api.sum('millrace_batch_rows_count', ofModel);
    // Batch size: 64 rows in at most 16 jobs would be 4 in the mean.
    expect(jobCount).to.be.within(1, 16);
    const worker = await scrape(stack().workers[0]!);
    expect(worker.sum('millrace_run_rows_total', ofModel)).to.equal(64);
    expect(worker.sum('millrace_runs_total', { ...ofModel, outcome: 'succeeded' })).to.equal(jobCount);
  });

  it('2,000 on 64 connections, every one its own', async () => {
    const numbers = Array.from({ length: 2000 }, (_, i) => i * 1_000_003);
    const queue = numbers.values();
    const wrong: number[] = [];
    let answered = 0;
    const lane = async () => {
      for (const x of queue) {
        const output = outputOf(await client.predictWith('nonce', [x]));
        answered += 1;
        if ((output as number[])[0] !== 3 * x + 1) wrong.push(x);
      }
    };
    await Promise.all(Array.from({ length: 64 }, lane));
    expect(wrong).to.deep.equal([]);
    expect(answered).to.equal(numbers.length);
    const api = await scrape(stack().apis[0]!);
    const rows = api.sum('millrace_batch_rows_sum', { model: 'nonce' });
    expect(rows).to.equal(numbers.length);
    expect(rows / api.sum('millrace_batch_rows_count', { model: 'nonce' })).to.be.above(1);
  });
});

/** One client's request, and how patient it is. */
interface Caller {
  readonly api: 0 | 1;
  readonly question: Question;
  /** `tight` is past before most answers could come. */
  readonly deadline: 'default' | 'tight';
  /** Leaves once so many of all have been answered; null: waits. */
  readonly leavesAfter: number | null;
}

interface Question {
  readonly model: string;
  readonly inputs: unknown;
  readonly answer: unknown;
}

const small = fc.integer({ min: 0, max: 99 });
const question: fc.Arbitrary<Question> = fc.oneof(
  fc
    .array(small, { minLength: 5, maxLength: 5 })
    .map((row) => ({ model: 'sum-rows', inputs: row, answer: sumOfRow(row) })),
  fc.maxSafeNat().map((n) => ({ model: 'nonce', inputs: [n % 2 ** 50], answer: [3 * (n % 2 ** 50) + 1] })),
  fc
    .array(small, { minLength: 1, maxLength: 4 })
    .map((row) => ({ model: 'dynamic-inner', inputs: row, answer: row })),
  fc.integer({ min: 0, max: 300 }).map((n) => ({ model: 'slow-loop', inputs: n, answer: n })),
  fc.tuple(small, small, fc.integer({ min: -(2 ** 20), max: 2 ** 20 })).map(([x, y, n]) => ({
    model: 'two-in-two-out',
    inputs: { a: [x, y], b: [n] },
    answer: { sum: [x + n, y + n], twice: [2 * n] },
  })),
);
const caller: fc.Arbitrary<Caller> = fc.record({
  api: fc.constantFrom(0, 1),
  question,
  deadline: fc.constantFrom('default', 'default', 'default', 'tight'),
  leavesAfter: fc.option(fc.integer({ min: 0, max: 20 }), { freq: 3 }),
});

describe('any interleaving of requests', () => {
  const models = fixtureModels('sum-rows', 'nonce', 'dynamic-inner', 'slow-loop', 'two-in-two-out');
  // How long a queue may stand is not the matter here.
  const env = { MILLRACE_COALESCER_QUEUE_DELAY_MS_MAX: '10000' };
  const stack = useStack({ models, apis: 2, workers: 2, env });
  let clients: readonly Client[];
  before(() => (clients = stack().apis.map(({ url }) => new Client({ url, key: stack().key }))));
  after(() => clients.forEach((client) => client.close()));

  /** Undefined for those who left before their answer. */
  async function askAll(callers: readonly Caller[]): Promise<readonly (Answer | undefined)[]> {
    const leaving = callers.map(() => new AbortController());
    let answeredCount = 0;
    const tellAnswered = () => {
      for (const [index, { leavesAfter }] of callers.entries())
        if (leavesAfter === answeredCount) leaving[index]?.abort();
      answeredCount += 1;
    };
    const answers = callers.map(async ({ api, question: { model, inputs }, deadline }, index) => {
      const parameters = deadline === 'tight' ? { timeout_ms: 3 } : { timeout_ms: 10_000 };
      const signal = leaving[index]!.signal;
      try {
        return await clients[api]!.predictWith(model, inputs, parameters, { signal });
      } catch (error) {
        if (signal.aborted) return undefined;
        throw error;
      } finally {
        tellAnswered();
      }
    });
    return Promise.all(answers);
  }

  it('answers each request with its own answer, at its deadline at the latest, and leaves nothing behind', async function () {
    this.timeout(40_000);
    const seen: Record<string, number> = {};
    await fc.assert(
      fc.asyncProperty(fc.array(caller, { minLength: 1, maxLength: 48 }), async (callers) => {
        const answers = await askAll(callers);
        for (const [
          index,
          {
            question: { model, answer: expected },
            deadline,
          },
        ] of callers.entries()) {
          const answer = answers[index];
          const status = answer?.status ?? 'left';
          seen[status] = (seen[status] ?? 0) + 1;
          if (answer === undefined) continue;
          // Late, or refused at once because it would be late.
          if ((answer.status === 504 || answer.status === 503) && deadline === 'tight') continue;
          expect({ model, output: outputOf(answer) }).to.deep.equal({ model, output: expected });
        }
        await Promise.all(stack().apis.map((api) => untilMetrics(api, isIdle)));
      }),
      { numRuns: 25 },
    );
    // The property has seen what it is about.
    expect(seen).to.include.all.keys('200', '504', 'left');
  });

  it('leaves no job in Redis', () => untilQueuesAreEmpty(stack()));
});
