import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { expect } from 'chai';
import { until } from '../../src/dev/readiness.ts';
import { BatchClient } from './support/batch-client.ts';
import { linesOf, nonceRows, problemOf } from './support/known-rows.ts';
import { expectHonest, pidsOf, useHarmable } from './support/promise-stack.ts';
import { sized } from './support/schedule.ts';
import { startTraffic } from './support/traffic.ts';

const rows = sized(2000, 50_000);
/** Those that end their host, and one that fails its run. */
const killers = sized([777], [777, 20_202, 49_999]);
const failing = 1234;
const giveUpMs = 180_000;
const pollMs = 200;

interface ResultRow {
  readonly row: number;
  readonly line?: number;
  readonly output?: unknown;
  readonly error?: { readonly code: string; readonly message: string };
}

describe('a batch with rows that cannot be run', () => {
  const harmable = useHarmable(
    {
      workers: 2,
      env: {
        MILLRACE_WORKER_HOSTS: '2',
        MILLRACE_WORKER_BULK_CONCURRENCY: '1',
        MILLRACE_BATCH_CHUNK_ROWS_MAX: '20',
        MILLRACE_REGISTRY_POLL_MS: String(pollMs),
        MILLRACE_BATCH_ATTEMPTS: '3',
        MILLRACE_BATCH_BACKOFF_MS: '50',
      },
    },
    ['crash-on-six', 'slow-loop', 'identity-int64'],
  );
  let client: BatchClient;
  beforeEach(() => (client = new BatchClient(harmable().stack, giveUpMs)));

  async function resultsOf(id: string): Promise<readonly ResultRow[]> {
    return (await client.results(id)).map((line) => JSON.parse(line) as ResultRow);
  }

  /** A batch of another model is as right as ever, whatever goes on. */
  async function expectOthersRight(number: number): Promise<void> {
    const { id } = await client.submit({ model: 'nonce', lines: linesOf(nonceRows, number, rows) });
    await client.ended(id);
    expect(problemOf(nonceRows, number, rows, await client.results(id))).to.equal(undefined);
  }

  it('because they end their hosts or fail their runs: only they fail, by line, and nobody else notices', async function () {
    // The least INT64 divided by -1 traps on x86 only: see test/fixtures/README.md.
    if (process.arch !== 'x64') this.skip();
    this.timeout(2 * giveUpMs);
    const { stack } = harmable();
    const pids = pidsOf(stack);
    const traffic = startTraffic({ stack, callers: 2, timeoutMs: 10_000 });
    await traffic.served(20);
    const inputs = Array.from({ length: rows }, (_, row) => {
      if (killers.includes(row)) return 6;
      return row === failing ? 7 : 10 * row;
    });
    const { id } = await client.submit({ model: 'crash-on-six', lines: inputs.map((x) => `${x}\n`) });
    await expectOthersRight(1);
    const { status, counts } = await client.ended(id);
    const failed = [...killers, failing].toSorted((a, b) => a - b);
    expect([status, counts]).to.deep.equal([
      'completed',
      { total: rows, succeeded: rows - failed.length, failed: failed.length },
    ]);
    const wrong = (await resultsOf(id)).filter(({ row, line, output, error }, place) => {
      if (row !== place) return true;
      if (failed.includes(row)) return error?.code === undefined || line !== row + 1;
      return output !== 30 * row + 1;
    });
    expect(wrong).to.deep.equal([]);
    await traffic.served(20);
    expectHonest(await traffic.stop(), [200]);
    expect(pidsOf(stack)).to.deep.equal(pids);
  });

  it('because no host can load their version: all of them fail after the last attempt, and others are run', async function () {
    this.timeout(2 * giveUpMs);
    const { stack } = harmable();
    for (const worker of stack.workers) await worker.stop();
    const { digest } = versionIn(stack.home, 'identity-int64');
    await rm(join(stack.home, 'artifacts/sha256', digest.slice(0, 2), digest.slice(2, 4), digest));
    for (const worker of stack.workers) worker.start();
    await Promise.all(stack.workers.map((worker) => worker.ready()));
    const lines = Array.from({ length: rows }, (_, row) => `[${row},0,0]\n`);
    const { id } = await client.submit({ model: 'identity-int64', lines });
    await expectOthersRight(2);
    const { status, counts } = await client.ended(id);
    expect([status, counts]).to.deep.equal(['completed', { total: rows, succeeded: 0, failed: rows }]);
    const results = await resultsOf(id);
    expect(results.map(({ row }) => row)).to.deep.equal(lines.map((_, row) => row));
    expect(new Set(results.map(({ error }) => error?.code))).to.deep.equal(new Set(['bad_gateway']));
  });

  it('because their version was removed meanwhile: those that ran are kept, the others fail and name it', async function () {
    this.timeout(2 * giveUpMs);
    const { stack } = harmable();
    const total = sized(200, 2000);
    const iterations = 1000;
    const lines = Array.from({ length: total }, () => `${iterations}\n`);
    const { id } = await client.submit({ model: 'slow-loop', lines });
    await until(async () => (await client.batch(id)).counts.succeeded > 0, AbortSignal.timeout(giveUpMs));
    removeVersion(stack.home, 'slow-loop');
    await expectOthersRight(3);
    const { status, counts } = await client.ended(id);
    expect(status).to.equal('completed');
    expect(counts.succeeded + counts.failed).to.equal(total);
    expect(counts.failed).to.be.above(0);
    const results = await resultsOf(id);
    expect(results.map(({ row }) => row)).to.deep.equal(lines.map((_, row) => row));
    expect(results.filter(({ output }) => output === iterations)).to.have.length(counts.succeeded);
    const unexplained = results.filter(
      ({ row, error }) =>
        error !== undefined &&
        error.message !== `Row ${row} (line ${row + 1}): Version slow-loop/1 is no longer registered`,
    );
    expect(unexplained).to.deep.equal([]);
  });
});

/** The registry has no way to remove a version yet, but its file has. */
function inRegistry<Result>(home: string, use: (db: DatabaseSync) => Result): Result {
  const db = new DatabaseSync(join(home, 'registry.db'), { timeout: 5000 });
  try {
    return use(db);
  } finally {
    db.close();
  }
}

function versionIn(home: string, model: string): { readonly digest: string } {
  return inRegistry(home, (db) => {
    const row = db.prepare('SELECT digest FROM versions WHERE model = ?').get(model);
    return { digest: String(row?.['digest']) };
  });
}

function removeVersion(home: string, model: string): void {
  inRegistry(home, (db) => {
    db.exec('BEGIN IMMEDIATE');
    db.prepare('DELETE FROM aliases WHERE model = ?').run(model);
    db.prepare('DELETE FROM versions WHERE model = ?').run(model);
    db.exec('UPDATE revision SET value = value + 1; COMMIT');
  });
}
