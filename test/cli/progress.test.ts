import { expect } from 'chai';
import fc from 'fast-check';
import { bytes, count, duration, percentOf, renderBar, renderLine } from '../../src/cli/progress.ts';
import type { Progress } from '../../src/cli/progress.ts';
import { RateMeter } from '../../src/cli/rate-meter.ts';

const running: Progress = {
  label: 'batch_01K',
  unit: 'rows',
  done: 470_112,
  total: 1_000_000,
  perSecond: 81_220,
  failed: 3,
  paused: false,
};

describe('progress', () => {
  it('shows bar, share, rows, rate, time to the end and failures', () => {
    expect(renderBar(running, 120)).to.equal(
      `batch_01K  ${'█'.repeat(14)}${'░'.repeat(16)}  47 %  470,112 of 1,000,000 rows  81,220 rows/s  ETA 0:07  3 failed`,
    );
  });

  it('gives up what matters least first', () => {
    expect(renderBar(running, 70)).to.equal('batch_01K  47 %  470,112 of 1,000,000 rows  ETA 0:07  3 failed');
    expect(renderBar(running, 60)).to.match(/^47 % {2}470,112 of 1,000,000 rows {2}ETA 0:07 {2}3 failed$/);
    expect(renderBar(running, 30)).to.equal('47 %  ETA 0:07  3 failed');
    expect(renderBar(running, 5)).to.equal('47 %');
  });

  it('fits any width', () => {
    const progress = fc.record({
      label: fc.constantFrom('uploading', 'batch_01K8YQ4N0GQ6V6W3SJ8T5C0RDE'),
      unit: fc.constantFrom<Progress['unit']>('rows', 'bytes'),
      done: fc.nat(1_000_000_000),
      total: fc.option(fc.nat(1_000_000_000)),
      perSecond: fc.option(fc.double({ min: 0, max: 1e9, noNaN: true })),
      failed: fc.nat(1_000_000),
      paused: fc.boolean(),
    });
    fc.assert(
      fc.property(progress, fc.integer({ min: 0, max: 250 }), (shown, width) => {
        const bar = renderBar(shown, width);
        expect(bar.length).to.be.at.most(width);
        expect(bar).not.to.match(/NaN|Infinity|undefined|\n/);
      }),
    );
  });

  it('says nothing of what it does not know', () => {
    const arriving: Progress = {
      ...running,
      unit: 'bytes',
      done: 65_536,
      total: null,
      perSecond: null,
      failed: 0,
    };
    expect(renderLine(arriving)).to.equal('batch_01K  65.5 kB');
  });

  it('has no rate and no time to the end while it is paused', () => {
    expect(renderLine({ ...running, paused: true })).to.match(/1,000,000 rows {2}paused {2}3 failed$/);
  });

  it('is at 100 % for nothing less than all', () => {
    expect(percentOf({ ...running, done: 999_999 })).to.equal(99);
    expect(percentOf({ ...running, done: 1_000_000 })).to.equal(100);
    expect(percentOf({ ...running, done: 0, total: 0 })).to.equal(100);
    expect(percentOf({ ...running, total: null })).to.equal(null);
  });

  it('writes numbers for people', () => {
    expect([0, 999, 1000, 1_234_567].map(count)).to.deep.equal(['0', '999', '1,000', '1,234,567']);
    expect([0, 999, 1000, 61_400_000].map(bytes)).to.deep.equal(['0 B', '999 B', '1.0 kB', '61.4 MB']);
    expect([0, 67, 7384].map(duration)).to.deep.equal(['0:00', '1:07', '2:03:04']);
  });
});

describe('RateMeter', () => {
  it('tells the rate of the last five seconds', () => {
    const meter = new RateMeter();
    for (let second = 0; second <= 20; second += 1)
      meter.add(second < 10 ? second * 100 : 1000, second * 1000);
    expect(meter.perSecond()).to.equal(0);
    meter.add(1600, 21_000);
    expect(meter.perSecond()).to.equal(120);
  });

  it('does not tell before it can', () => {
    const meter = new RateMeter();
    expect(meter.perSecond()).to.equal(null);
    meter.add(0, 0);
    meter.add(5000, 300);
    expect(meter.perSecond()).to.equal(null);
    meter.add(8000, 1000);
    expect(meter.perSecond()).to.equal(8000);
  });

  it('takes many samples of one moment', () => {
    const meter = new RateMeter();
    for (let at = 0; at <= 10_000; at += 1) meter.add(at * 2, at);
    expect(meter.perSecond()).to.be.closeTo(2000, 50);
  });
});
