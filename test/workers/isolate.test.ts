import { expect } from 'chai';
import fc from 'fast-check';
import { MillraceError } from '../../src/errors.ts';
import { isolate } from '../../src/workers/isolate.ts';
import type { Attempt } from '../../src/workers/isolate.ts';
import type { RowRange } from '../../src/workers/run-plan.ts';

type Outcome = Attempt<readonly number[]>;

const badRow = new MillraceError('invalid_input', 'out of bounds');

function rowsOf({ fromRow, rowCount }: RowRange): readonly number[] {
  return Array.from({ length: rowCount }, (_, row) => fromRow + row);
}

/** An engine that fails every range with one of these rows in it, and counts its attempts. */
function engine(bad: ReadonlySet<number>, failure: Outcome) {
  const attempts: RowRange[] = [];
  const attempt = async (range: RowRange): Promise<Outcome> => {
    attempts.push(range);
    const rows = rowsOf(range);
    return rows.some((row) => bad.has(row)) ? failure : { kind: 'ran', value: rows };
  };
  return { attempts, attempt };
}

const all = (rowCount: number): readonly RowRange[] => [{ fromRow: 0, rowCount }];

describe('isolate', () => {
  it('fails exactly the rows that fail alone, whatever they share a run with', async () => {
    const cases = fc.record({
      rowCount: fc.integer({ min: 1, max: 64 }),
      bad: fc.uniqueArray(fc.nat(63), { maxLength: 64 }),
      concurrency: fc.integer({ min: 1, max: 4 }),
    });
    await fc.assert(
      fc.asyncProperty(cases, async ({ rowCount, bad, concurrency }) => {
        const { attempt } = engine(new Set(bad), { kind: 'failed', error: badRow });
        const parts = await isolate(all(rowCount), attempt, { concurrency });
        expect(parts.flatMap(rowsOf)).to.deep.equal(rowsOf({ fromRow: 0, rowCount }));
        const failed = parts.filter(({ outcome }) => outcome.kind === 'failed').flatMap(rowsOf);
        expect(failed).to.deep.equal(bad.filter((row) => row < rowCount).toSorted((a, b) => a - b));
      }),
    );
  });

  it('finds one killer among 64 rows with three deaths', async () => {
    const { attempts, attempt } = engine(new Set([37]), { kind: 'host_died' });
    const parts = await isolate(all(64), attempt, { concurrency: 2 });
    expect(parts.flatMap(rowsOf)).to.deep.equal(rowsOf({ fromRow: 0, rowCount: 64 }));
    expect(parts.filter(({ outcome }) => outcome.kind === 'host_died').flatMap(rowsOf)).to.deep.equal([37]);
    expect(attempts.filter((range) => rowsOf(range).includes(37))).to.have.length(3);
    expect(attempts).to.have.length(17);
  });

  it('stops cutting when killers have cost too many hosts', async () => {
    const { attempts, attempt } = engine(new Set(rowsOf({ fromRow: 0, rowCount: 64 })), {
      kind: 'host_died',
    });
    const parts = await isolate(all(64), attempt, { concurrency: 1 });
    expect(parts.flatMap(rowsOf)).to.have.length(64);
    expect(attempts.length).to.be.at.most(64);
  });

  it('cuts what it is told to, also after a run that hung, within the bounds it is given', async () => {
    const { attempts, attempt } = engine(new Set([300]), { kind: 'host_hung' });
    const isCut = ({ kind }: Attempt<unknown>): boolean => kind === 'host_hung';
    const parts = await isolate(all(1000), attempt, { concurrency: 1, isCut, partsMax: 2000 });
    expect(parts.filter(({ outcome }) => outcome.kind === 'host_hung').flatMap(rowsOf)).to.deep.equal([300]);
    expect(attempts.filter((range) => rowsOf(range).includes(300))).to.have.length(5);
    const bounded = await isolate(all(1000), attempt, { concurrency: 1, isCut, deathsMax: 2 });
    const failed = bounded.filter(({ outcome }) => outcome.kind === 'host_hung').flatMap(rowsOf);
    expect(failed).to.include(300);
    expect(failed).to.have.length(125);
  });

  it('finds every one of 200 rows that fail when it may attempt twice as many parts', async () => {
    const rows = rowsOf({ fromRow: 0, rowCount: 200 });
    const { attempt } = engine(new Set(rows), { kind: 'failed', error: badRow });
    const parts = await isolate(all(200), attempt, { concurrency: 1, partsMax: 400 });
    expect(parts.map(({ rowCount }) => rowCount)).to.deep.equal(rows.map(() => 1));
  });

  it('asks for a range when it is its turn', async () => {
    const { attempts, attempt } = engine(new Set(), { kind: 'expired' });
    const seen: number[] = [];
    function* ranges(): Generator<RowRange> {
      for (let fromRow = 0; fromRow < 5; fromRow += 1) {
        seen.push(attempts.length);
        yield { fromRow, rowCount: 1 };
      }
    }
    await isolate(ranges(), attempt, { concurrency: 1 });
    expect(seen).to.deep.equal([0, 1, 2, 3, 4]);
  });

  it('does not halve for what no row is to blame for', async () => {
    for (const failure of [
      { kind: 'expired' },
      { kind: 'host_hung' },
      { kind: 'failed', error: new MillraceError('service_unavailable') },
    ] as const) {
      const { attempts, attempt } = engine(new Set([0]), failure);
      const parts = await isolate(all(8), attempt, { concurrency: 1 });
      expect(attempts).to.have.length(1);
      expect(parts).to.deep.equal([{ fromRow: 0, rowCount: 8, outcome: failure }]);
    }
  });

  it('attempts every range once when all is well', async () => {
    const { attempts, attempt } = engine(new Set(), { kind: 'expired' });
    const ranges = rowsOf({ fromRow: 0, rowCount: 200 }).map((fromRow) => ({ fromRow, rowCount: 1 }));
    const parts = await isolate(ranges, attempt, { concurrency: 3 });
    expect(attempts).to.have.length(200);
    expect(parts.map(({ fromRow }) => fromRow)).to.deep.equal(rowsOf({ fromRow: 0, rowCount: 200 }));
  });
});
