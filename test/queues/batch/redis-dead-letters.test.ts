import { expect } from 'chai';
import type { DeadLetter, DeadLetters } from '../../../src/queues/batch/batch-ledger.ts';
import { createRedisDeadLetters, deadLetterMs } from '../../../src/queues/batch/redis-dead-letters.ts';
import { closeConnections } from '../builders.ts';
import { makeLedgerRig } from './support/ledger-rig.ts';
import type { LedgerRig } from './support/ledger-rig.ts';

describe('RedisDeadLetters', () => {
  let rig: LedgerRig;
  let letters: DeadLetters;
  beforeEach(async () => {
    rig = await makeLedgerRig();
    letters = createRedisDeadLetters({ ...rig, countMax: 5 });
  });
  afterEach(closeConnections);

  const letterOf = (row: number): DeadLetter & { readonly input: Uint8Array } => ({
    id: `letter-${row}`,
    batchId: 'batch_1',
    owner: 'key:one',
    model: 'wine',
    version: 'v1',
    servedDigest: 'd'.repeat(64),
    pool: 'default',
    render: { returnProbability: false, topK: null, outputs: null },
    row,
    rowId: null,
    line: row + 1,
    error: { code: 'internal_error', message: 'why' },
    inputDigest: 'e'.repeat(64),
    attempts: 3,
    atMs: 1_700_000_000_000,
    input: Buffer.from([0, 255, row]),
  });
  const rowsOf = (page: { readonly letters: readonly DeadLetter[] }): number[] =>
    page.letters.map(({ row }) => row);

  it('gives a letter back with its input, until it is removed', async () => {
    const { input, ...letter } = letterOf(1);
    await letters.add([letterOf(1)]);
    const taken = await letters.take('letter-1');
    expect(taken).to.deep.include(letter);
    expect(Buffer.compare(Buffer.from(taken!.input), Buffer.from(input))).to.equal(0);
    expect(await letters.list(null, 10)).to.deep.equal({ letters: [letter], next: null });
    await letters.remove(['letter-1', 'letter-2']);
    expect(await letters.take('letter-1')).to.equal(undefined);
    expect(await letters.count()).to.equal(0);
    await letters.add([letterOf(1)]);
    expect(await letters.count()).to.equal(1);
  });

  it('keeps one letter of a row, the newest rows, and no more than it may', async () => {
    await letters.add([letterOf(0), letterOf(1)]);
    await letters.add([{ ...letterOf(1), id: 'another' }]);
    expect(await letters.count()).to.equal(2);
    await letters.add([2, 3, 4, 5, 6].map(letterOf));
    const first = await letters.list(null, 2);
    const second = await letters.list(first.next, 2);
    const third = await letters.list(second.next, 2);
    expect([first, second, third].map(rowsOf)).to.deep.equal([[6, 5], [4, 3], [2]]);
    expect(third.next).to.equal(null);
    expect(await letters.take('letter-1')).to.equal(undefined);
    // A page begins where the one before ended, whatever was removed meanwhile.
    await letters.remove(['letter-5', 'letter-4']);
    expect(rowsOf(await letters.list(first.next, 2))).to.deep.equal([3, 2]);
  });

  it('keeps no more bytes than it may, and the letter that goes beyond', async () => {
    const small = createRedisDeadLetters({ ...rig, countMax: 100, bytesMax: 10_000 });
    const wide = (row: number, bytes: number): ReturnType<typeof letterOf> => ({
      ...letterOf(row),
      input: Buffer.alloc(bytes),
    });
    for (let row = 0; row < 5; row += 1) {
      // oxlint-disable-next-line no-await-in-loop
      await small.add([wide(row, 4000)]);
    }
    expect(rowsOf(await small.list(null, 10))).to.deep.equal([4, 3, 2]);
    expect(await rig.redis.keys(`${rig.keys.batches}:letter-of:*`)).to.have.length(3);
    await small.add([wide(5, 20_000)]);
    expect(rowsOf(await small.list(null, 10))).to.deep.equal([5]);
  });

  it('keeps none for ever, and counts none that has expired', async () => {
    await letters.add([letterOf(0), letterOf(1)]);
    const names = await rig.redis.keys(`${rig.keys.batches}:letter*`);
    expect(names).to.have.length(6);
    const lives = await Promise.all(names.map((name) => rig.redis.pttl(name)));
    for (const ms of lives) expect(ms).to.be.within(deadLetterMs - 60_000, deadLetterMs);
    await rig.redis.del(rig.keys.deadLetter('letter-0'));
    expect(await letters.count()).to.equal(1);
  });

  it('keeps none where it may not', async () => {
    const none = createRedisDeadLetters({ ...rig, countMax: 0 });
    await none.add([letterOf(0)]);
    expect(await none.count()).to.equal(0);
  });
});
