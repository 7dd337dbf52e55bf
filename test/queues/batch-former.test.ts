import { expect } from 'chai';
import fc from 'fast-check';
import { createBatchFormer } from '../../src/queues/batch-former.ts';
import type { BatchBounds, BatchEntry } from '../../src/queues/batch-former.ts';

interface TestEntry extends BatchEntry {
  readonly name: string;
}

const bounds: BatchBounds = { rowsMax: 4, bytesMax: 100 };

function entry(name: string, over: Partial<TestEntry> = {}): TestEntry {
  return {
    name,
    versionKey: 'm/1',
    compatibilityKey: 'k',
    rowCount: 1,
    bytes: 10,
    deadlineMs: 1000,
    ...over,
  };
}

function names(entries: readonly TestEntry[] | undefined): readonly string[] {
  return (entries ?? []).map(({ name }) => name);
}

describe('batch former', () => {
  it('hands out entries in order, up to the bound on rows', () => {
    const former = createBatchFormer<TestEntry>();
    for (const name of ['a', 'b', 'c', 'd', 'e']) former.add(entry(name), bounds);
    expect(names(former.take(0).batch?.entries)).to.deep.equal(['a', 'b', 'c', 'd']);
    expect(former.rowCount).to.equal(1);
    expect(former.take(0).batch).to.deep.include({ rowCount: 1, bytes: 10, versionKey: 'm/1' });
    expect(former.take(0).batch).to.equal(undefined);
  });

  it('ends a batch at the bound on bytes', () => {
    const former = createBatchFormer<TestEntry>();
    for (const name of ['a', 'b', 'c']) former.add(entry(name, { bytes: 50 }), bounds);
    expect(names(former.take(0).batch?.entries)).to.deep.equal(['a', 'b']);
  });

  it('lets no small entry overtake one that does not fit', () => {
    const former = createBatchFormer<TestEntry>();
    former.add(entry('a', { rowCount: 3 }), bounds);
    former.add(entry('b', { rowCount: 3 }), bounds);
    former.add(entry('c'), bounds);
    expect(names(former.take(0).batch?.entries)).to.deep.equal(['a']);
    expect(names(former.take(0).batch?.entries)).to.deep.equal(['b', 'c']);
  });

  it('gives an entry beyond the bounds a batch of its own', () => {
    const former = createBatchFormer<TestEntry>();
    former.add(entry('huge', { rowCount: 100, bytes: 5000 }), bounds);
    former.add(entry('a'), bounds);
    expect(names(former.take(0).batch?.entries)).to.deep.equal(['huge']);
    expect(names(former.take(0).batch?.entries)).to.deep.equal(['a']);
  });

  it('never mixes versions or compatibility keys, and gives each its turn', () => {
    const former = createBatchFormer<TestEntry>();
    for (let i = 0; i < 6; i++) {
      former.add(entry(`p${i}`, { compatibilityKey: 'p' }), bounds);
      former.add(entry(`q${i}`, { compatibilityKey: 'q' }), bounds);
      former.add(entry(`r${i}`, { versionKey: 'm/2' }), bounds);
    }
    const order = Array.from({ length: 6 }, () => names(former.take(0).batch?.entries)[0]);
    expect(order).to.deep.equal(['p0', 'r0', 'q0', 'r4', 'p4', 'q4']);
  });

  it('leaves a version alone that may not leave', () => {
    const former = createBatchFormer<TestEntry>();
    former.add(entry('a'), bounds);
    former.add(entry('b', { versionKey: 'm/2' }), bounds);
    const mayLeave = (versionKey: string): boolean => versionKey === 'm/2';
    expect(names(former.take(0, mayLeave).batch?.entries)).to.deep.equal(['b']);
    expect(former.take(0, mayLeave).batch).to.equal(undefined);
    expect(former.entryCount).to.equal(1);
  });

  it('drops the expired and the cancelled at hand-off, with the reason', () => {
    const former = createBatchFormer<TestEntry>();
    former.add(entry('expired', { deadlineMs: 10 }), bounds);
    former.add(entry('cancelled', { signal: AbortSignal.abort() }), bounds);
    former.add(entry('a', { deadlineMs: 11 }), bounds);
    const { batch, dropped } = former.take(10);
    expect(names(batch?.entries)).to.deep.equal(['a']);
    expect(dropped.map(({ entry: { name }, reason }) => [name, reason])).to.deep.equal([
      ['expired', 'expired'],
      ['cancelled', 'cancelled'],
    ]);
    expect(former.entryCount).to.equal(0);
  });

  it('drops what would be late: whoever needs longer than there is until the deadline', () => {
    const former = createBatchFormer<TestEntry>();
    for (const deadlineMs of [50, 60, 100]) former.add(entry(`until ${deadlineMs}`, { deadlineMs }), bounds);
    const { batch, dropped } = former.take(
      10,
      () => true,
      () => 50,
    );
    expect(names(batch?.entries)).to.deep.equal(['until 60', 'until 100']);
    expect(dropped.map(({ entry: { name }, reason }) => [name, reason])).to.deep.equal([
      ['until 50', 'late'],
    ]);
  });

  it('lets a waiting entry be removed, once', () => {
    const former = createBatchFormer<TestEntry>();
    const a = entry('a');
    former.add(a, bounds);
    expect(former.remove(a)).to.equal(true);
    expect(former.remove(a)).to.equal(false);
    expect(former).to.include({ rowCount: 0, entryCount: 0 });
    expect(former.take(0)).to.deep.equal({ batch: undefined, dropped: [] });
  });
});

type Step =
  | {
      readonly kind: 'add';
      readonly version: number;
      readonly group: number;
      readonly rows: number;
      readonly bytes: number;
      readonly deadline: number;
    }
  | { readonly kind: 'take'; readonly blocked: number }
  | { readonly kind: 'remove'; readonly which: number }
  | { readonly kind: 'wait'; readonly ms: number };

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      kind: fc.constant('add' as const),
      version: fc.nat(2),
      group: fc.nat(2),
      rows: fc.integer({ min: 1, max: 6 }),
      bytes: fc.integer({ min: 0, max: 120 }),
      deadline: fc.nat(60),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({ kind: fc.constant('take' as const), blocked: fc.integer({ min: -1, max: 2 }) }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('remove' as const), which: fc.nat() }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('wait' as const), ms: fc.nat(20) }) },
);

describe('batch former, any interleaving', () => {
  it('lets every entry leave exactly once, in order, within bounds, and none after its deadline', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 80 }), (steps) => {
        const former = createBatchFormer<TestEntry>();
        const added: TestEntry[] = [];
        const left = new Set<TestEntry>();
        const lastOfGroup = new Map<string, number>();
        let nowMs = 0;
        const leave = (leaving: TestEntry): void => {
          expect(left.has(leaving), 'left twice').to.equal(false);
          left.add(leaving);
        };
        const take = (blocked: number): boolean => {
          const { batch, dropped } = former.take(nowMs, (key) => key !== `m/${blocked}`);
          for (const { entry: gone } of dropped) {
            leave(gone);
            expect(gone.deadlineMs).to.be.at.most(nowMs);
          }
          if (batch === undefined) return false;
          let rowCount = 0;
          let bytes = 0;
          for (const taken of batch.entries) {
            leave(taken);
            expect(taken.deadlineMs).to.be.greaterThan(nowMs);
            expect(taken.versionKey).to.equal(batch.versionKey).and.not.equal(`m/${blocked}`);
            expect(taken.compatibilityKey).to.equal(batch.entries[0]?.compatibilityKey);
            const group = `${taken.versionKey} ${taken.compatibilityKey}`;
            expect(Number(taken.name)).to.be.greaterThan(lastOfGroup.get(group) ?? -1);
            lastOfGroup.set(group, Number(taken.name));
            rowCount += taken.rowCount;
            bytes += taken.bytes;
          }
          expect(batch).to.include({ rowCount, bytes });
          if (batch.entries.length > 1) {
            expect(rowCount).to.be.at.most(bounds.rowsMax);
            expect(bytes).to.be.at.most(bounds.bytesMax);
          }
          return true;
        };
        for (const next of steps) {
          if (next.kind === 'add') {
            const made = entry(String(added.length), {
              versionKey: `m/${next.version}`,
              compatibilityKey: `k${next.group}`,
              rowCount: next.rows,
              bytes: next.bytes,
              deadlineMs: nowMs + next.deadline,
            });
            added.push(made);
            former.add(made, bounds);
          } else if (next.kind === 'take') take(next.blocked);
          else if (next.kind === 'wait') nowMs += next.ms;
          else {
            const which = added[next.which % Math.max(1, added.length)];
            if (which !== undefined && former.remove(which)) leave(which);
          }
          expect(former.entryCount).to.equal(added.length - left.size);
        }
        while (take(-1));
        expect(left.size).to.equal(added.length);
        expect(former).to.include({ rowCount: 0, entryCount: 0 });
      }),
      { numRuns: 300 },
    );
  });
});
