import { expect } from 'chai';
import { CostCurve } from '../../../src/queues/batch/cost-curve.ts';

describe('cost curve', () => {
  it('knows nothing before the first run', () => {
    const curve = new CostCurve();
    expect(curve.runMs(1)).to.equal(undefined);
    expect(curve.rowsWithin(25)).to.equal(undefined);
    expect(curve.points).to.deep.equal([]);
  });

  it('is a line between two sizes', () => {
    const curve = new CostCurve([
      [64, 2],
      [256, 5],
    ]);
    expect(curve.runMs(64)).to.equal(2);
    expect(curve.runMs(160)).to.equal(3.5);
    expect(curve.rowsWithin(3.5)).to.equal(160);
    expect(curve.rowsWithin(2)).to.equal(64);
  });

  it('goes on beyond the greatest size with its last slope, four times as far at most', () => {
    const curve = new CostCurve([
      [64, 2],
      [256, 5],
    ]);
    expect(curve.runMs(448)).to.equal(8);
    expect(curve.rowsWithin(8)).to.equal(448);
    expect(curve.rowsWithin(1000)).to.equal(1024);
  });

  it('takes a run below the least size for as long as that, and a row at least', () => {
    const curve = new CostCurve([[64, 32]]);
    expect(curve.runMs(1)).to.equal(32);
    expect(curve.rowsWithin(16)).to.equal(32);
    expect(curve.rowsWithin(0.1)).to.equal(1);
    expect(curve.rowsWithin(64)).to.equal(128);
  });

  it('gives four times the rows where more rows take no longer', () => {
    const curve = new CostCurve([
      [1, 1],
      [64, 1],
    ]);
    expect(curve.rowsWithin(25)).to.equal(256);
  });

  it('takes a small run that took longer than a large one for a disturbed one', () => {
    const curve = new CostCurve([
      [8, 40],
      [64, 2],
    ]);
    expect(curve.points).to.deep.equal([
      [8, 2],
      [64, 2],
    ]);
  });

  it('follows the runs that are seen, the newest counting most', () => {
    const curve = new CostCurve([
      [1, 0.1],
      [1024, 1],
    ]);
    for (let run = 0; run < 60; run += 1) curve.observe(1000, 100);
    expect(curve.runMs(1000)).to.be.within(95, 100);
    expect(curve.rowsWithin(25)).to.be.within(200, 300);
  });

  it('finds the size for a target again after one run that was disturbed', () => {
    const cost = (rows: number): number => 0.5 + rows / 100;
    const curve = new CostCurve([1, 64, 1024].map((rows) => [rows, cost(rows)]));
    curve.observe(2450, 2000);
    for (let run = 0; run < 200; run += 1) {
      const rows = curve.rowsWithin(25) as number;
      curve.observe(rows, cost(rows));
    }
    expect(curve.rowsWithin(25)).to.be.within(2300, 2460);
  });

  it('is the same when it is made of its own points', () => {
    const curve = new CostCurve([
      [1, 0.5],
      [8, 0.75],
      [64, 3],
    ]);
    expect(new CostCurve(curve.points).points).to.deep.equal(curve.points);
  });
});
