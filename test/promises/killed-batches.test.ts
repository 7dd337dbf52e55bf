import { randomUUID } from 'node:crypto';
import { expect } from 'chai';
import type { BatchObject } from '../../src/api/batch/batch-view.ts';
import { until } from '../../src/dev/readiness.ts';
import { createRedisBatchLedger } from '../../src/queues/batch/redis-batch-ledger.ts';
import { createRedisKeys } from '../../src/queues/lanes.ts';
import { untilQueuesAreEmpty, withRedis } from '../integration/redis.ts';
import { expectSoundLedger } from '../queues/batch/support/ledger-invariants.ts';
import { BatchClient } from './support/batch-client.ts';
import { killAtRandom } from './support/kills.ts';
import { linesOf, nonceRows, problemOf, problemOfSome, sumRows } from './support/known-rows.ts';
import type { KnownRows } from './support/known-rows.ts';
import { useHarmable } from './support/promise-stack.ts';
import { printedSeed, Random } from './support/random.ts';
import { lasting, sized } from './support/schedule.ts';

const rows = sized(10_000, 100_000);
const rounds = sized(4, 100);
/** A round with the start of six processes, on two busy cores. */
const roundMsMax = 30_000;
const endMsMax = 120_000;
const uploadLeaseMs = 3000;
const patienceMs = 2000;

/** How a caller treats its batches, one after the other. */
interface Habit {
  readonly name: 'waits' | 'uploads slowly, without a key' | 'pauses and resumes' | 'cancels';
  readonly known: KnownRows;
  readonly isKeyed: boolean;
  readonly pieces: number;
}

const habits: readonly Habit[] = [
  { name: 'waits', known: nonceRows, isKeyed: true, pieces: 1 },
  { name: 'waits', known: nonceRows, isKeyed: true, pieces: 20 },
  { name: 'uploads slowly, without a key', known: sumRows, isKeyed: false, pieces: 50 },
  { name: 'pauses and resumes', known: nonceRows, isKeyed: true, pieces: 1 },
  { name: 'cancels', known: nonceRows, isKeyed: true, pieces: 1 },
];

/** A batch of which the 202 was read. */
interface Entry {
  readonly habit: Habit;
  /** Its rows. */
  readonly number: number;
  readonly id: string;
  /** What was wrong with its results as soon as it had ended. */
  readonly problem: string | undefined;
}

describe('processes and Redis are killed, stopped and frozen at random while batches arrive and run', () => {
  const harmable = useHarmable({
    apis: 2,
    workers: 2,
    // As many chunks as larger rows would make, and of each batch some in Redis and some in the artifact store.
    env: {
      MILLRACE_BATCH_CHUNK_ROWS_MAX: '500',
      MILLRACE_BATCH_REDIS_BYTES_MAX: '60000',
      MILLRACE_BATCH_UPLOAD_LEASE_MS: String(uploadLeaseMs),
      // Shorter than a process may stand still, so that others take over what it goes on with.
      MILLRACE_IDEMPOTENCY_LEASE_MS: '1000',
    },
  });
  const journal: Entry[] = [];
  let client: BatchClient;
  let listed: readonly BatchObject[] = [];

  before(async function () {
    this.timeout(rounds * roundMsMax + endMsMax);
    const random = new Random(printedSeed());
    client = new BatchClient(harmable().stack, rounds * roundMsMax + endMsMax, patienceMs);
    let isOver = false;
    const callers = habits.map(async (habit) => {
      // oxlint-disable-next-line no-await-in-loop
      do journal.push(await makeBatch(habit, random));
      while (!isOver);
    });
    const killing = killAtRandom(harmable(), random, rounds).finally(() => (isOver = true));
    const [hits] = await Promise.all([killing, ...callers]);
    process.stderr.write(`        ${journal.length} batches, hit: ${JSON.stringify(hits)}\n`);
    await until(async () => {
      listed = await client.list();
      return listed.every(({ finished_at: finishedAt }) => finishedAt !== null);
    }, AbortSignal.timeout(endMsMax));
  });

  let nextNumber = 0;

  async function makeBatch(habit: Habit, random: Random): Promise<Entry> {
    const { known, isKeyed, pieces } = habit;
    const number = nextNumber++;
    const lines = linesOf(known, number, rows);
    const key = isKeyed ? { key: randomUUID() } : {};
    const { id } = await client.submit({ model: known.model, lines, pieces, ...key });
    const early = problemOfSome(known, number, await client.results(id));
    if (habit.name === 'pauses and resumes') {
      await client.setPaused(id, true);
      await lasting(random.next() * 500);
      await client.setPaused(id, false);
    }
    if (habit.name === 'cancels') await client.cancel(id);
    await client.ended(id);
    return { habit, number, id, problem: early ?? problemIn(habit, number, await client.results(id)) };
  }

  function problemIn({ name, known }: Habit, number: number, results: readonly string[]): string | undefined {
    return name === 'cancels'
      ? problemOfSome(known, number, results)
      : problemOf(known, number, rows, results);
  }

  it('every batch whose 202 was read ends as it should, with each row once, in order, and right', async function () {
    this.timeout(journal.length * 1000 + 30_000);
    const problems: string[] = [];
    for (const { habit, number, id, problem } of journal) {
      // One after the other: all of them are as long as the journal.
      // oxlint-disable-next-line no-await-in-loop
      const { status, counts } = await client.batch(id);
      // oxlint-disable-next-line no-await-in-loop
      const found = problem ?? problemIn(habit, number, await client.results(id));
      if (found !== undefined) problems.push(`${id}, whose caller ${habit.name}: ${found}`);
      // It may have been through before it was cancelled.
      const ends = habit.name === 'cancels' ? ['cancelled', 'completed'] : ['completed'];
      if (!ends.includes(status)) problems.push(`${id}, whose caller ${habit.name}, is ${status}`);
      if (status === 'completed') expect(counts).to.deep.equal({ total: rows, succeeded: rows, failed: 0 });
    }
    expect(problems).to.deep.equal([]);
  });

  it('no two of them are the same, and each caller with a key has one of it', () => {
    const ids = new Set(journal.map(({ id }) => id));
    expect(ids.size).to.equal(journal.length);
    // Those that are not in the journal: uploads that were cut. Without a key, one may have been whole.
    const others = listed.filter(({ id }) => !ids.has(id));
    const doubled = others.filter(
      (batch) => batch.status !== 'failed' && batch.model_name === nonceRows.model,
    );
    expect(doubled).to.deep.equal([]);
  });

  it('uploads that were cut have failed with a reason', () => {
    const ids = new Set(journal.map(({ id }) => id));
    const cut = listed.filter(({ id, status }) => !ids.has(id) && status !== 'completed');
    process.stderr.write(`        ${cut.length} uploads were cut\n`);
    for (const { status, error } of cut) {
      expect(status).to.equal('failed');
      expect(error?.code).to.be.oneOf(['request_timeout', 'service_unavailable', 'invalid_input']);
      expect(error?.message).to.match(/\w/);
    }
  });

  it('nothing is left in hand, and the ledger is sound', async function () {
    this.timeout(60_000);
    const { stack } = harmable();
    await untilQueuesAreEmpty(stack);
    await withRedis(stack, async (redis) => {
      const keys = createRedisKeys(stack.redisPrefix);
      const ledger = createRedisBatchLedger({ redis, keys, uploadLeaseMs });
      const rig = { redis, keys, ledger };
      // What was discarded is forgotten with the next pass of a sweeper.
      const isSound = () => expectSoundLedger(rig).then(() => true);
      await until(isSound, AbortSignal.timeout(15_000)).catch(() => undefined);
      await expectSoundLedger(rig);
      expect(await ledger.pools()).to.deep.equal([]);
    });
  });
});
