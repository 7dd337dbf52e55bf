import { expect } from 'chai';
import fc from 'fast-check';
import { ServiceTime } from '../../src/queues/service-time.ts';
import type { SettledJob } from '../../src/queues/service-time.ts';

function after(jobs: readonly SettledJob[]): ServiceTime {
  const time = new ServiceTime();
  for (const job of jobs) time.observe(job);
  return time;
}

/** Jobs of a model that takes `baseMs` and `rowMs` for each row. */
function jobsOf(baseMs: number, rowMs: number, sizes: readonly number[]): SettledJob[] {
  return sizes.map((rows) => ({ rows, roundTripMs: baseMs + rowMs * rows, waitedMs: 0 }));
}

describe('service time', () => {
  it('is unknown until a job came back, and bounds nothing until then', () => {
    const time = new ServiceTime();
    expect(time.known).to.equal(false);
    expect(time.roundTripMs(64)).to.equal(0);
    expect(time.rowsWithin(1)).to.equal(Number.POSITIVE_INFINITY);
    time.observe({ rows: 1, roundTripMs: 5, waitedMs: 0 });
    expect(time.known).to.equal(true);
  });

  it('finds base and slope of any model from batches of different sizes', () => {
    fc.assert(
      fc.property(
        fc.double({ min: 0, max: 1000, noNaN: true }),
        fc.double({ min: 0.01, max: 100, noNaN: true }),
        fc.array(fc.integer({ min: 1, max: 64 }), { minLength: 20, maxLength: 60 }),
        fc.integer({ min: 1, max: 64 }),
        (baseMs, rowMs, sizes, rows) => {
          const time = after(jobsOf(baseMs, rowMs, [1, 64, ...sizes, 1, 64]));
          const expected = baseMs + rowMs * rows;
          expect(time.roundTripMs(rows)).to.be.closeTo(expected, expected * 1e-6);
          expect(time.rowsWithin(baseMs + rowMs * (rows + 0.5))).to.equal(rows);
        },
      ),
    );
  });

  it('takes one size of batch for no slope: what was never tried is not held against it', () => {
    const time = after(
      jobsOf(
        5,
        1,
        Array.from({ length: 50 }, () => 1),
      ),
    );
    expect(time.roundTripMs(64)).to.be.closeTo(6, 1e-9);
    expect(time.rowsWithin(1)).to.equal(Number.POSITIVE_INFINITY);
  });

  it('is never negative, never steeper than in proportion, and allows a row at least, whatever it is told', () => {
    const job = fc.record({
      rows: fc.integer({ min: 1, max: 4096 }),
      roundTripMs: fc.double({ min: 0, max: 1e6, noNaN: true }),
      waitedMs: fc.double({ min: -10, max: 1e6, noNaN: true }),
    });
    fc.assert(
      fc.property(fc.array(job, { minLength: 1, maxLength: 50 }), (jobs) => {
        const time = after(jobs);
        const [one, many] = [time.roundTripMs(1), time.roundTripMs(1000)];
        expect(one).to.be.at.least(0);
        expect(many).to.be.at.least(one - 1e-6);
        expect(many).to.be.at.most(1000 * one + 1e-3);
        expect(time.rowsWithin(100)).to.be.at.least(1);
      }),
    );
  });

  it('forgets how it was: a model that became slow, or fast again, is known after a few jobs', () => {
    const time = after(
      jobsOf(
        10,
        0,
        Array.from({ length: 50 }, () => 4),
      ),
    );
    for (const job of jobsOf(
      100,
      0,
      Array.from({ length: 30 }, () => 4),
    ))
      time.observe(job);
    expect(time.roundTripMs(4)).to.be.within(90, 100);
    for (const job of jobsOf(
      10,
      0,
      Array.from({ length: 60 }, () => 4),
    ))
      time.observe(job);
    expect(time.roundTripMs(4)).to.be.within(10, 11);
  });

  it('counts one job that was held up for little, and a queue that is gone for nothing', () => {
    const time = after(
      jobsOf(
        10,
        0,
        Array.from({ length: 20 }, () => 4),
      ),
    );
    time.observe({ rows: 4, roundTripMs: 1010, waitedMs: 1000 });
    expect(time.roundTripMs(4)).to.be.within(200, 220);
    for (const job of jobsOf(
      10,
      0,
      Array.from({ length: 8 }, () => 4),
    ))
      time.observe(job);
    expect(time.roundTripMs(4)).to.be.within(10, 12);
  });
});
