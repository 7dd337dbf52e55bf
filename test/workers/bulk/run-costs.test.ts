import { expect } from 'chai';
import { channels } from '../../../src/channels.ts';
import type { FaultEvent } from '../../../src/channels.ts';
import { MillraceError } from '../../../src/errors.ts';
import type { CurvePoint } from '../../../src/queues/batch/cost-curve.ts';
import { RunCosts } from '../../../src/workers/bulk/run-costs.ts';
import { collectEvents } from '../support/collect-events.ts';

describe('run costs', () => {
  let nowMs: number;
  let published: [string, readonly CurvePoint[]][];
  let costs: RunCosts;

  beforeEach(() => {
    nowMs = 1000;
    published = [];
    costs = new RunCosts({
      nowMs: () => nowMs,
      curves: {
        publish: async (digest, points) => void published.push([digest, points]),
        rowsFor: () => Promise.resolve(undefined),
      },
    });
  });

  it('begin with few rows, whatever was measured on zeros, and let runs grow by four', () => {
    expect(costs.rowsFor('a', 25)).to.equal(8);
    costs.measured('a', [
      [1, 1],
      [4096, 2],
    ]);
    const sizes = Array.from({ length: 6 }, () => {
      const rows = costs.rowsFor('a', 25);
      costs.observe('a', rows, 1);
      return rows;
    });
    expect(sizes).to.deep.equal([8, 32, 128, 512, 2048, 8192]);
  });

  it('end to let runs grow where they take too long', () => {
    costs.measured('a', [
      [1, 1],
      [4096, 2],
    ]);
    for (let run = 0; run < 10; run += 1) {
      const rows = costs.rowsFor('a', 25);
      costs.observe('a', rows, 12.5 * rows);
    }
    expect(costs.rowsFor('a', 25)).to.be.within(1, 4);
  });

  it('publish what was measured at once', () => {
    const points = [
      [1, 1],
      [100, 10],
    ] as const;
    costs.measured('a', points);
    expect(published).to.deep.equal([['a', points]]);
  });

  it('leave what is known when nothing could be measured', () => {
    costs.observe('a', 1000, 10);
    costs.measured('a', []);
    expect(costs.rowsFor('a', 10)).to.equal(1000);
    expect(published).to.have.length(1);
  });

  it('are refined by runs, and published again after ten seconds', () => {
    costs.observe('a', 100, 10);
    for (let run = 0; run < 50; run += 1) costs.observe('a', 100, 50);
    expect(published).to.have.length(1);
    expect(costs.rowsFor('a', 50)).to.be.within(100, 120);
    nowMs += 10_000;
    costs.observe('a', 100, 50);
    expect(published).to.have.length(2);
    expect(published[1]?.[1][0]?.[1]).to.be.within(45, 50);
  });

  it('say so when they cannot be published', async () => {
    const faults = collectEvents<FaultEvent>(channels.fault);
    const away = new MillraceError('service_unavailable');
    const lost = new RunCosts({
      nowMs: () => nowMs,
      curves: { publish: () => Promise.reject(away), rowsFor: () => Promise.resolve(undefined) },
    });
    lost.observe('a', 1, 1);
    await faults.next(({ component, error }) => component === 'run-costs' && error === away);
    faults.stop();
  });
});
