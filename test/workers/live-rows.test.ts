import { expect } from 'chai';
import { MillraceError } from '../../src/errors.ts';
import type { JobEntry } from '../../src/queues/job.ts';
import type { NamedTensors } from '../../src/tensors/tensor.ts';
import { dropExpired, failAll, openRows, takeResults } from '../../src/workers/live-rows.ts';
import type { LiveRows } from '../../src/workers/live-rows.ts';
import { tensor } from '../support/builders.ts';

function entry(rowCount: number, deadlineMs: number): JobEntry {
  return { requestId: 'r', rowCount, deadlineMs };
}

function column(...values: readonly number[]): NamedTensors {
  return new Map([['x', tensor('INT32', [values.length], values)]]);
}

function valuesOf({ tensors }: LiveRows): readonly number[] {
  return Array.from((tensors.get('x')?.data ?? []) as Int32Array);
}

const entries = [entry(1, 100), entry(2, 50), entry(1, 100)];

describe('live rows', () => {
  it('are all there at first', () => {
    const rows = openRows(entries, column(1, 2, 3, 4));
    expect(valuesOf(rows)).to.deep.equal([1, 2, 3, 4]);
    expect(rows.failures).to.deep.equal([]);
  });

  it('must be as many as the entries say', () => {
    expect(() => openRows(entries, column(1, 2, 3))).to.throw('3 rows for 4');
  });

  it('leave when their deadline has passed, and only they', () => {
    const opened = openRows(entries, column(1, 2, 3, 4));
    expect(dropExpired(opened, 49)).to.equal(opened);
    const rows = dropExpired(opened, 50);
    expect(valuesOf(rows)).to.deep.equal([1, 4]);
    expect(
      rows.failures.map(({ entryIndex, reason, error }) => [entryIndex, reason, error.code]),
    ).to.deep.equal([[1, 'expired', 'timeout']]);
    expect(dropExpired(rows, 100).entries).to.deep.equal([]);
  });

  it('become the results of the entries that ran whole', () => {
    const opened = openRows(entries, column(1, 2, 3, 4));
    const error = new MillraceError('invalid_input', 'out of bounds');
    const rows = takeResults(opened, [
      { fromRow: 0, rowCount: 2, outcome: { kind: 'ran', value: column(10, 20) } },
      { fromRow: 2, rowCount: 1, outcome: { kind: 'failed', error } },
      { fromRow: 3, rowCount: 1, outcome: { kind: 'ran', value: column(40) } },
    ]);
    expect(valuesOf(rows)).to.deep.equal([10, 40]);
    expect(rows.failures).to.deep.equal([
      {
        entryIndex: 1,
        reason: 'failed',
        error: {
          code: 'invalid_input',
          message: 'out of bounds',
          details: [
            { path: 'inputs[1]', expected: 'values that the model can run on', found: 'out of bounds' },
          ],
        },
      },
    ]);
  });

  it('name no row of an entry that has only one', () => {
    const opened = openRows([entry(1, 100)], column(1));
    const error = new MillraceError('invalid_input', 'no');
    const { failures } = takeResults(opened, [
      { fromRow: 0, rowCount: 1, outcome: { kind: 'failed', error } },
    ]);
    expect(failures[0]?.error.details).to.deep.equal([
      { path: 'inputs', expected: 'values that the model can run on', found: 'no' },
    ]);
  });

  it('tell death, hanging and expiry apart', () => {
    const opened = openRows([entry(1, 9), entry(1, 9), entry(1, 9)], column(1, 2, 3));
    const { failures } = takeResults(
      opened,
      (['host_died', 'host_hung', 'expired'] as const).map((kind, fromRow) => ({
        fromRow,
        rowCount: 1,
        outcome: { kind },
      })),
    );
    expect(failures.map(({ reason, error }) => [reason, error.code])).to.deep.equal([
      ['failed', 'internal_error'],
      ['failed', 'timeout'],
      ['expired', 'timeout'],
    ]);
  });

  it('fail together with one error, beside earlier failures', () => {
    const rows = failAll(
      dropExpired(openRows(entries, column(1, 2, 3, 4)), 60),
      new MillraceError('not_found'),
    );
    expect(rows.failures.map(({ entryIndex, error }) => [entryIndex, error.code])).to.deep.equal([
      [1, 'timeout'],
      [0, 'not_found'],
      [2, 'not_found'],
    ]);
    expect(rows.tensors.size).to.equal(0);
  });
});
