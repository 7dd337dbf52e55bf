import { expect } from 'chai';
import { useStack } from '../support/stack.ts';
import { Client, outputOf } from './client.ts';
import type { Answer } from './client.ts';
import { fixtureModels } from './fixture-models.ts';
import { isIdle, scrape, untilMetrics } from './metrics.ts';
import { untilQueuesAreEmpty } from './redis.ts';

/** About a millisecond of one thread on a machine like those of CI; what is asserted does not depend on it. */
const iterations = 40;
const timeoutMs = 2000;
const callers = 400;
const batchRowsMax = 64;
/** On a machine of its own it is below 1 %. */
const wastedShareMax = 0.05;
/** A refused caller does something else meanwhile, or the flood would be all that this process does. */
const pausedTurns = 20;

interface Flood {
  readonly answered: number;
  readonly refusals: readonly Answer[];
  readonly late: number;
}

describe('a flood of one model', () => {
  /** Fewer than the callers by far, or there would be no queue. */
  const stack = useStack({
    models: fixtureModels('slow-loop', 'nonce'),
    env: { MILLRACE_COALESCER_BATCH_ROWS_MAX: String(batchRowsMax) },
  });
  let client: Client;
  before(() => (client = new Client(stack())));
  after(() => client.close());

  const ask = (): Promise<Answer> => client.predictWith('slow-loop', iterations, { timeout_ms: timeoutMs });

  /** Until so many were answered with 200. */
  async function flood(wanted: number): Promise<Flood> {
    const refusals: Answer[] = [];
    let answered = 0;
    let late = 0;
    const caller = async (): Promise<void> => {
      while (answered < wanted) {
        const answer = await ask();
        if (answer.status === 200) answered += 1;
        else if (answer.status === 504) late += 1;
        else {
          expect(answer.status, answer.text).to.equal(503);
          refusals.push(answer);
          for (let turn = 0; turn < pausedTurns; turn += 1)
            await new Promise((resolve) => setImmediate(resolve));
        }
      }
    };
    await Promise.all(Array.from({ length: callers }, caller));
    return { answered, refusals, late };
  }

  before(async () => {
    // Batches of many sizes, from which the service time is known.
    for (const count of [1, 2, 8, 32, 64, 1]) {
      const answers = await Promise.all(Array.from({ length: count }, ask));
      expect(answers.map(({ status }) => status)).to.deep.equal(answers.map(() => 200));
    }
  });

  it('is answered as far as it can be in time, and the rest refused at once, with a time to come again', async function () {
    this.timeout(120_000);
    const rowsBefore = (await scrape(stack().workers[0]!)).sum('millrace_run_rows_total', {
      model: 'slow-loop',
    });
    const { answered, refusals, late } = await flood(2000);

    expect(refusals.length, 'refused').to.be.greaterThan(0);
    for (const { headers, body } of refusals) {
      expect(Number(headers['retry-after'])).to.be.at.least(1);
      expect(body.error.code).to.equal('service_unavailable');
    }
    await untilMetrics(stack().apis[0]!, isIdle);
    const api = await scrape(stack().apis[0]!);
    expect(api.sum('millrace_rejected_total'), 'told by the metrics').to.equal(refusals.length);
    // Hardly anything was run for a caller who had given up, also where others take the machine's time meanwhile.
    expect(late / (answered + late), 'late').to.be.below(wastedShareMax);
    const worker = await scrape(stack().workers[0]!);
    const rows = worker.sum('millrace_run_rows_total', { model: 'slow-loop' }) - rowsBefore;
    expect(rows - answered, 'run, and not answered').to.be.within(0, rows * wastedShareMax);
    await untilQueuesAreEmpty(stack());
  });

  it('ends, and everybody is answered again', async () => {
    for (let n = 0; n < 20; n += 1) expect((await ask()).status).to.equal(200);
  });

  it('delays another model by turns of its jobs, not by the length of its queue', async function () {
    this.timeout(120_000);
    let isOver = false;
    const flooded = flood(2000).finally(() => (isOver = true));
    let asked = 0;
    for (let x = 0; !isOver; x += 1) {
      const answer = await client.predictWith('nonce', [x], { timeout_ms: 10_000 });
      expect(outputOf(answer)).to.deep.equal([3 * x + 1]);
      asked += 1;
    }
    await flooded;
    // At most the jobs that were out run before it; so it had its turn many times while thousands waited.
    expect(asked).to.be.greaterThan(2000 / (3 * batchRowsMax));
  });
});
