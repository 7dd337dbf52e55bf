import { expect } from 'chai';
import { RetrySchedule } from '../../../src/api/webhooks/retry-schedule.ts';

describe('the schedule of retries', () => {
  const schedule = new RetrySchedule('5,300,1800');

  it('has a pause after each attempt but the last', () => {
    expect(schedule.attempts).to.equal(4);
    expect([1, 2, 3, 4].map((attempt) => schedule.delayMs(attempt, null, 0))).to.deep.equal([
      5000,
      300_000,
      1_800_000,
      undefined,
    ]);
  });

  it('is longer by up to a tenth, by chance', () => {
    expect(schedule.delayMs(1, null, 1)).to.equal(5500);
  });

  it('heeds a receiver that asks for more time, not one that asks for less', () => {
    expect(schedule.delayMs(1, 60_000, 0)).to.equal(60_000);
    expect(schedule.delayMs(2, 1000, 0)).to.equal(300_000);
    expect(schedule.delayMs(4, 1000, 0)).to.equal(undefined);
  });
});
