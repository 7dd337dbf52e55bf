import { expect } from 'chai';
import { LaneShare } from '../../src/workers/lane-share.ts';

describe('lane share', () => {
  it('owes bulk nothing at first', () => {
    expect(new LaneShare(10).isBulkDue).to.equal(false);
  });

  it('gives bulk its percentage of the time of both lanes', () => {
    for (const percent of [1, 10, 50]) {
      const share = new LaneShare(percent);
      let onlineMs = 0;
      let bulkMs = 0;
      while (onlineMs + bulkMs < 100_000) {
        if (share.isBulkDue) {
          share.bulkBegan(25);
          share.bulkEnded(25, 25);
          bulkMs += 25;
        } else {
          share.onlineRan(2);
          onlineMs += 2;
        }
      }
      expect(bulkMs / 1000).to.be.within(percent * 0.95, percent * 1.05);
    }
  });

  it('never makes two bulk runs due in a row, however long online had the hosts', () => {
    const share = new LaneShare(10);
    share.onlineRan(60_000);
    expect(share.isBulkDue).to.equal(true);
    share.bulkBegan(25);
    expect(share.isBulkDue).to.equal(false);
    share.bulkEnded(25, 25);
    expect(share.isBulkDue).to.equal(false);
  });

  it('owes bulk nothing for runs that were shorter than they were expected to be', () => {
    const share = new LaneShare(10);
    for (const [expectedMs, ms] of [
      [25, 400],
      [400, 100],
      [100, 1],
    ] as const) {
      share.bulkBegan(expectedMs);
      share.bulkEnded(expectedMs, ms);
      expect(share.isBulkDue).to.equal(false);
    }
  });

  it('counts what bulk took while online was away, but not for ever', () => {
    const share = new LaneShare(10);
    share.bulkEnded(0, 3_600_000);
    share.onlineRan(800);
    expect(share.isBulkDue).to.equal(false);
    share.onlineRan(200);
    expect(share.isBulkDue).to.equal(true);
  });
});
