import { expect } from 'chai';
import type { BatchRecord } from '../../../../src/queues/batch/batch.ts';
import { isFinal } from '../../../../src/queues/batch/batch.ts';
import type { StoredChunk } from '../../../../src/queues/batch/batch-ledger.ts';
import type { LedgerRig } from './ledger-rig.ts';

type Rig = Pick<LedgerRig, 'redis' | 'keys' | 'ledger'>;

/** What must hold between all keys of a ledger whenever no script runs: after any step, and after any crash of Redis. */
export async function expectSoundLedger(rig: Rig): Promise<void> {
  const { redis, keys, ledger } = rig;
  const ids = await redis.zrange(`${keys.batches}:list`, 0, '-1');
  const records = (await Promise.all(ids.map((id) => ledger.get(id)))).filter(
    (record) => record !== undefined,
  );
  // oxlint-disable-next-line no-await-in-loop
  for (const record of records) await expectSoundBatch(rig, record);
  await expectSoundLines(rig, records);
  const open = records.filter(({ status }) => !isFinal(status));
  const leases = await redis.zrange(`${keys.batches}:leases`, 0, '-1');
  expect(leases).to.have.members(open.map(({ id, pool, owner }) => `${id}:${pool}:${owner}`));
  expect(await redis.hgetall(keys.batchPools)).to.deep.equal(tally(open.map(({ pool }) => pool)));
  for (const owner of new Set(records.map((record) => record.owner))) {
    const own = open.filter((record) => record.owner === owner).map(({ id }) => id);
    // oxlint-disable-next-line no-await-in-loop
    expect(await redis.smembers(keys.openBatches(owner))).to.have.members(own);
  }
  const expiring = await redis.zrange(`${keys.batches}:expiring`, 0, '-1');
  const ended = records.filter(({ status }) => isFinal(status));
  expect(expiring).to.have.members(ended.map(({ id, owner }) => `${id}:${owner}`));
}

async function expectSoundBatch({ redis, keys, ledger }: Rig, record: BatchRecord): Promise<void> {
  const key = `${keys.batches}:${record.id}`;
  const chunks: StoredChunk[] = [];
  let page: readonly StoredChunk[];
  do {
    // oxlint-disable-next-line no-await-in-loop
    page = await ledger.chunks(record.id, chunks.length, 1000);
    chunks.push(...page);
  } while (page.length > 0);
  const done = chunks.filter(({ result }) => result !== null);
  const sum = (of: (chunk: StoredChunk) => number, over = chunks): number =>
    over.reduce((total, chunk) => total + of(chunk), 0);
  expect(record).to.include({
    chunksReceived: chunks.length,
    chunksDone: done.length,
    rowsReceived: sum(({ rowCount }) => rowCount),
    rowsFailed: sum(({ rowsFailed }) => rowsFailed),
    rowsRetryable: sum(({ rowsRetryable }) => rowsRetryable),
    rowsSucceeded: sum(({ rowCount, rowsFailed }) => rowCount - rowsFailed, done),
  });
  if (record.status === 'completed') expect(done.length).to.equal(chunks.length);
  const waiting = await redis.zrange(`${key}:waiting`, 0, '-1');
  const inLane = await redis.smembers(`${key}:lane`);
  const undone = chunks.filter(({ result }) => result === null).map(({ index }) => String(index));
  expect([...waiting, ...inLane]).to.have.members(isFinal(record.status) ? [] : undone);
  const stored = [
    ...(await redis.hvals(keys.batchInputs(record.id))),
    ...(await redis.hvals(keys.batchResults(record.id))),
  ];
  if (!isFinal(record.status))
    expect(Number(await redis.hget(key, 'redisBytes'))).to.equal(
      stored.reduce((total, bytes) => total + bytes.length, 0),
    );
}

async function expectSoundLines({ redis, keys }: Rig, records: readonly BatchRecord[]): Promise<void> {
  for (const pool of new Set(records.map((record) => record.pool))) {
    const own = records.filter((record) => record.pool === pool);
    const root = `${keys.batches}:pool:${pool}`;
    // oxlint-disable no-await-in-loop
    const expected: string[] = [];
    for (const { id, owner } of own)
      for (const index of await redis.smembers(`${keys.batches}:${id}:lane`))
        expected.push(`${id}.${index}.${owner}`);
    const lane = await redis.zrange(`${root}:lane`, 0, '-1');
    expect(lane).to.have.members(expected);
    const owners = lane.map((member) => member.slice(member.indexOf('.', member.indexOf('.') + 1) + 1));
    expect(await redis.hgetall(`${root}:counts`)).to.deep.equal(tally(owners));
    const inLine = await redis.zrange(`${root}:ready`, 0, '-1');
    for (const owner of new Set(own.map((record) => record.owner))) {
      const ready: string[] = [];
      for (const { id, paused, owner: of } of own)
        if (of === owner && !paused && (await redis.exists(`${keys.batches}:${id}:waiting`)) === 1)
          ready.push(id);
      expect(await redis.zrange(`${root}:ready:${owner}`, 0, '-1')).to.have.members(ready);
      // Out of the line it is with nothing to run, or with a full window that will bring it back.
      if (!inLine.includes(owner)) expect(ready.length === 0 || owners.includes(owner)).to.equal(true);
    }
    // oxlint-enable no-await-in-loop
  }
}

function tally(names: readonly string[]): Record<string, string> {
  const counts: Record<string, number> = {};
  for (const name of names) counts[name] = (counts[name] ?? 0) + 1;
  return Object.fromEntries(Object.entries(counts).map(([name, count]) => [name, String(count)]));
}
