import { expect } from 'chai';
import fc from 'fast-check';
import { cutRuns, fromRunOutputs, planRuns, runRowsMax, toRunInputs } from '../../src/workers/run-plan.ts';
import { joinRows, sliceRows } from '../../src/tensors/batch.ts';
import type { BatchAxis } from '../../src/registry/signature.ts';
import { tensor } from '../support/builders.ts';

const axes: readonly BatchAxis[] = [{ kind: 'dynamic' }, { kind: 'fixed', size: 4 }, { kind: 'none' }];

describe('run plan', () => {
  it('covers every row once, in order, within the bound', () => {
    const axis = fc.constantFrom(...axes);
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 200 }),
        axis,
        fc.integer({ min: 1, max: 64 }),
        (rows, batch, max) => {
          const runs = planRuns(rows, batch, max);
          const covered = runs.flatMap((run) =>
            Array.from({ length: run.rowCount }, (_, row) => run.fromRow + row),
          );
          expect(covered).to.deep.equal(Array.from({ length: rows }, (_, row) => row));
          const bound = batch.kind === 'dynamic' ? max : batch.kind === 'fixed' ? batch.size : 1;
          for (const run of runs) expect(run.rowCount).to.be.within(1, bound);
        },
      ),
    );
  });

  it('cuts one run after the other by what is known then, into runs of equal size', () => {
    const cut = (rows: number, ...sizes: readonly number[]): readonly number[] => {
      let asked = 0;
      const sizeNow = (): number => sizes[Math.min(asked++, sizes.length - 1)] as number;
      return [...cutRuns(rows, { kind: 'dynamic' }, sizeNow)].map(({ rowCount }) => rowCount);
    };
    expect(cut(1000, 600)).to.deep.equal([500, 500]);
    expect(cut(1000, 10, 800)).to.deep.equal([10, 495, 495]);
    expect(cut(5, 600)).to.deep.equal([5]);
    expect(cut(0, 600)).to.deep.equal([]);
    const fixed = [...cutRuns(9, { kind: 'fixed', size: 4 }, () => 100)];
    expect(fixed).to.deep.equal([0, 4, 8].map((fromRow) => ({ fromRow, rowCount: fromRow === 8 ? 1 : 4 })));
    expect([...cutRuns(3, { kind: 'none' }, () => 100)]).to.have.length(3);
  });

  it('takes the rows of a run from the manifest, bounded by its bytes', () => {
    const manifest = { schema_version: 1, name: 'm' } as const;
    expect(runRowsMax(manifest, 256, 100)).to.equal(256);
    expect(runRowsMax({ ...manifest, batching: { max_batch_size: 8 } }, 256, 100)).to.equal(8);
    expect(runRowsMax({ ...manifest, batching: { max_batch_bytes: 1000 } }, 256, 100)).to.equal(10);
    expect(runRowsMax({ ...manifest, batching: { max_batch_bytes: 10 } }, 256, 100)).to.equal(1);
  });

  it('gives back the rows that it took apart, for every kind of batch axis', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 20 }), fc.constantFrom(...axes), (rows, batch) => {
        const elements = Array.from({ length: rows * 2 }, (_, index) => index);
        const whole = new Map([['x', tensor('FP32', [rows, 2], elements)]]);
        const parts = planRuns(rows, batch, 8).map(({ fromRow, rowCount }) => {
          const inputs = toRunInputs(sliceRows(whole, fromRow, rowCount), batch);
          return fromRunOutputs(inputs, rowCount, batch);
        });
        expect(joinRows(parts)).to.deep.equal(whole);
      }),
    );
  });

  it('fills a fixed batch up with copies of the last row', () => {
    const rows = new Map([['x', tensor('INT64', [2, 1], [7n, 8n])]]);
    const padded = toRunInputs(rows, { kind: 'fixed', size: 4 });
    expect(padded.get('x')).to.deep.equal(tensor('INT64', [4, 1], [7n, 8n, 8n, 8n]));
  });

  it('takes the row axis off where the model has none, and puts it back', () => {
    const rows = new Map([['x', tensor('FP32', [1, 2, 2], [1, 2, 3, 4])]]);
    const inputs = toRunInputs(rows, { kind: 'none' });
    expect(inputs.get('x')?.shape).to.deep.equal([2, 2]);
    const scalar = new Map([['y', tensor('FP32', [], [5])]]);
    expect(fromRunOutputs(scalar, 1, { kind: 'none' }).get('y')?.shape).to.deep.equal([1]);
  });

  it('refuses outputs of another number of rows', () => {
    const outputs = new Map([['y', tensor('FP32', [1, 3], [1, 2, 3])]]);
    expect(() => fromRunOutputs(outputs, 2, { kind: 'dynamic' })).to.throw('1 rows back for 2');
    expect(() => fromRunOutputs(outputs, 1, { kind: 'fixed', size: 4 })).to.throw('1 rows back for 4');
  });
});
