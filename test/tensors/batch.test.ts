import { expect } from 'chai';
import fc from 'fast-check';
import { joinRows, rowCount, selectRows, sliceRows, splitRows } from '../../src/tensors/batch.ts';
import type { NamedTensors } from '../../src/tensors/tensor.ts';
import { tensor } from '../support/builders.ts';
import { refusalOf } from '../support/refusals.ts';
import { arbitraryDatatype, arbitraryTensor } from './arbitrary-tensors.ts';

/** Parts of one to four rows that may be joined: equal names, datatypes and row shapes. */
const arbitraryParts: fc.Arbitrary<readonly NamedTensors[]> = fc
  .record({
    inputs: fc.uniqueArray(
      fc.tuple(fc.string(), arbitraryDatatype, fc.array(fc.integer({ min: 1, max: 3 }), { maxLength: 2 })),
      { minLength: 1, maxLength: 3, selector: ([name]) => name },
    ),
    rowCounts: fc.array(fc.integer({ min: 1, max: 4 }), { minLength: 1, maxLength: 8 }),
  })
  .chain(({ inputs, rowCounts }) =>
    fc.tuple(
      ...rowCounts.map((rows) =>
        fc
          .tuple(...inputs.map(([, datatype, shape]) => arbitraryTensor(datatype, [rows, ...shape])))
          .map((tensors): NamedTensors => new Map(tensors.map((part, index) => [inputs[index]![0], part]))),
      ),
    ),
  );

function plain(tensors: NamedTensors): unknown {
  return [...tensors].map(([name, part]) => [name, part.datatype, part.shape, [...part.data]]);
}

describe('rows of tensors', () => {
  it('split back into the parts that were joined', () => {
    fc.assert(
      fc.property(arbitraryParts, (parts) => {
        const joined = joinRows(parts);
        const rowCounts = parts.map(rowCount);
        expect(rowCount(joined)).to.equal(rowCounts.reduce((sum, count) => sum + count));
        expect(splitRows(joined, rowCounts).map(plain)).to.deep.equal(parts.map(plain));
      }),
      { numRuns: 200 },
    );
  });

  it('selected one by one and joined are the batch', () => {
    fc.assert(
      fc.property(arbitraryParts, (parts) => {
        const batch = joinRows(parts);
        const rows = Array.from({ length: rowCount(batch) }, (_, row) => row);
        expect(plain(selectRows(batch, rows))).to.deep.equal(plain(batch));
        expect(plain(joinRows(rows.map((row) => selectRows(batch, [row]))))).to.deep.equal(plain(batch));
        expect(plain(joinRows(rows.map((row) => sliceRows(batch, row, 1))))).to.deep.equal(plain(batch));
      }),
      { numRuns: 100 },
    );
  });

  it('are selected in the order asked for, repeats too', () => {
    const batch = new Map([['X', tensor('INT8', [3, 2], [1, 2, 3, 4, 5, 6])]]);
    expect([...selectRows(batch, [2, 0, 2]).get('X')!.data]).to.deep.equal([5, 6, 1, 2, 5, 6]);
  });

  it('are 0 without tensors and without elements', () => {
    expect(rowCount(new Map())).to.equal(0);
    const empty = new Map([['X', tensor('FP32', [0, 4], [])]]);
    expect(splitRows(empty, [0, 0]).map(rowCount)).to.deep.equal([0, 0]);
  });

  const one = new Map([['X', tensor('FP32', [1, 2], [1, 2])]]);
  const cases: readonly [why: string, act: () => unknown, message: string][] = [
    ['split into fewer', () => splitRows(one, []), '1 rows to be split into 0'],
    ['split into more', () => splitRows(one, [1, 1]), '1 rows to be split into 2'],
    ['sliced beyond the end', () => sliceRows(one, 1, 1), 'rows 1 to 2 of 1'],
    ['selected beyond the end', () => selectRows(one, [1]), 'row 1 of 1'],
    ['joined of nothing', () => joinRows([]), 'nothing to join'],
    [
      'joined under other names',
      () => joinRows([one, new Map([['Y', one.get('X')!]])]),
      'nothing joined to FP32',
    ],
    ['joined with more tensors', () => joinRows([one, new Map([...one, ['Y', one.get('X')!]])]), '2 tensors'],
    [
      'joined across row shapes',
      () => joinRows([one, new Map([['X', tensor('FP32', [1, 3], [1, 2, 3])]])]),
      'X: FP32 [1, 3] joined to FP32 [1, 2]',
    ],
    [
      'joined across datatypes',
      () => joinRows([one, new Map([['X', tensor('FP64', [1, 2], [1, 2])]])]),
      'X: FP64 [1, 2] joined to FP32 [1, 2]',
    ],
    [
      'unequal between tensors',
      () => rowCount(new Map([...one, ['Y', tensor('INT8', [2], [1, 2])]])),
      'Y has 2 rows beside 1',
    ],
    ['those of a scalar', () => rowCount(new Map([['X', tensor('INT8', [], [1])]])), 'X has no row axis'],
  ];
  for (const [why, act, message] of cases)
    it(`are an internal_error when ${why}`, () => {
      expect(refusalOf(act, 'internal_error').message).to.contain(message);
    });
});
