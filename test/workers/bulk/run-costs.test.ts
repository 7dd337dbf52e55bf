import { expect } from 'chai';
import { channels } from '../../../src/channels.ts';
import type { FaultEvent } from '../../../src/channels.ts';
import { MillraceError } from '../../../src/errors.ts';
import { CostCurve } from '../../../src/queues/batch/cost-curve.ts';
import type { CurvePoint } from '../../../src/queues/batch/cost-curve.ts';
import { RunCosts } from '../../../src/workers/bulk/run-costs.ts';
import { collectEvents } from '../support/collect-events.ts';

const zeros: readonly CurvePoint[] = [
  [1, 1],
  [4096, 2],
];

describe('run costs', () => {
  let nowMs: number;
  let published: (readonly CurvePoint[])[];
  let suggested: (readonly CurvePoint[])[];
  let costs: RunCosts;

  beforeEach(() => {
    nowMs = 1000;
    published = [];
    suggested = [];
    costs = new RunCosts({
      nowMs: () => nowMs,
      curves: {
        publish: async (_digest, points) => void published.push(points),
        suggest: async (_digest, points) => void suggested.push(points),
      },
    });
  });

  /** Rows of so many runs, each as large as it may be, of a version that takes so long for a row. */
  function sizesOf(runCount: number, rowMs: number): readonly number[] {
    return Array.from({ length: runCount }, () => {
      const rows = costs.rowsFor('a', 25);
      costs.observe('a', rows, rowMs * rows);
      return rows;
    });
  }

  it('begin with few rows, whatever was measured on zeros, and let runs grow by four', () => {
    expect(costs.rowsFor('a', 25)).to.equal(8);
    costs.measured('a', zeros);
    expect(sizesOf(5, 0.0001)).to.deep.equal([8, 32, 128, 512, 2048]);
  });

  it('begin with one row where even zeros take long', () => {
    costs.measured('a', [[1, 100]]);
    expect(costs.rowsFor('a', 25)).to.equal(1);
  });

  it('never run many rows that take longer than zeros do', () => {
    costs.measured('a', zeros);
    const [first, ...others] = sizesOf(20, 12.5);
    expect(first).to.equal(8);
    for (const rows of others) expect(rows).to.be.within(1, 2);
  });

  it('come to runs of the target also without a measurement', () => {
    expect(sizesOf(30, 0.1).at(-1)).to.be.within(245, 250);
  });

  it('suggest what was measured, and publish what was seen at most every ten seconds', () => {
    costs.measured('a', zeros);
    expect([suggested, published]).to.deep.equal([[zeros], []]);
    sizesOf(20, 0.1);
    expect(published).to.have.length(1);
    nowMs += 10_000;
    sizesOf(1, 0.1);
    expect(published).to.have.length(2);
    expect(new CostCurve(published[1]).rowsWithin(25)).to.be.within(240, 250);
  });

  it('publish from the first run on how much longer rows take than zeros, also of sizes that did not run', () => {
    costs.measured('a', [
      [8, 1],
      [4096, 2],
    ]);
    costs.observe('a', 8, 1.5);
    expect(published[0]).to.deep.equal([
      [8, 1.5],
      [4096, 3],
    ]);
  });

  it('leave what is known when nothing could be measured', () => {
    costs.observe('a', 1000, 10);
    costs.measured('a', []);
    expect(costs.rowsFor('a', 10)).to.equal(1000);
    expect(suggested).to.deep.equal([]);
  });

  it('say so when they cannot be published', async () => {
    const faults = collectEvents<FaultEvent>(channels.fault);
    const away = (): Promise<void> => Promise.reject(new MillraceError('service_unavailable'));
    const lost = new RunCosts({ nowMs: () => nowMs, curves: { publish: away, suggest: away } });
    lost.observe('a', 1, 1);
    await faults.next(({ component }) => component === 'run-costs');
    faults.stop();
  });
});
