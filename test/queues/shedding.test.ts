import { expect } from 'chai';
import fc from 'fast-check';
import { ServiceTime } from '../../src/queues/service-time.ts';
import { shed } from '../../src/queues/shedding.ts';
import type { Backlog } from '../../src/queues/shedding.ts';

/** Of a version whose jobs take so long, whatever their size. */
function taking(ms: number): ServiceTime {
  const time = new ServiceTime();
  for (const rows of [1, 64, 1, 64]) time.observe({ rows, roundTripMs: ms, waitedMs: 0 });
  return time;
}

const busy: Backlog = { waitingRows: 0, jobsOut: 2, rowsOut: 20, jobsInFlightMax: 2, batchRows: 10 };
const patient = { remainingMs: 1e9, queueDelayMsMax: 30, freeDelayMsMax: 0, rowsFree: 0 };

describe('shedding', () => {
  it('lets everybody in while nothing is known', () => {
    const backlog = { ...busy, waitingRows: 100_000 };
    const impatient = { remainingMs: 0, queueDelayMsMax: 0, freeDelayMsMax: 0, rowsFree: 0 };
    expect(shed(backlog, 1, new ServiceTime(), impatient)).to.equal(undefined);
  });

  it('lets two jobs be waited for, however long they take', () => {
    const time = taking(1000);
    for (const waitingRows of [0, 9, 10, 39])
      expect(shed({ ...busy, waitingRows }, 1, time, patient), `${waitingRows}`).to.equal(undefined);
    const refused = shed({ ...busy, waitingRows: 40 }, 1, time, patient);
    expect(refused).to.deep.equal({ reason: 'queue_delay', drainMs: 2500 });
  });

  it('lets more wait where they leave within the delay', () => {
    const time = taking(4);
    expect(shed({ ...busy, waitingRows: 149 }, 1, time, patient)).to.equal(undefined);
    expect(shed({ ...busy, waitingRows: 150 }, 1, time, patient)).to.deep.equal({
      reason: 'queue_delay',
      drainMs: 32,
    });
  });

  it('takes what jobs wait for others for no reason to let more wait', () => {
    const time = new ServiceTime();
    for (let n = 0; n < 50; n += 1) time.observe({ rows: 10, roundTripMs: 104, waitedMs: 100 });
    expect(shed(busy, 1, time, patient)?.reason).to.equal('queue_delay');
    expect(shed(busy, 1, time, { ...patient, freeDelayMsMax: 100, rowsFree: 21 })).to.equal(undefined);
  });

  it('lets more be waited for while few rows are at work, as long as it is in time', () => {
    const time = taking(100);
    // 300 ms until it leaves, and 100 ms of its own.
    const backlog = { ...busy, waitingRows: 50 };
    const free = { ...patient, freeDelayMsMax: 310, rowsFree: 71 };
    expect(shed(backlog, 1, time, free)).to.equal(undefined);
    expect(shed(backlog, 1, time, { ...free, rowsFree: 70 })?.reason).to.equal('queue_delay');
    expect(shed(backlog, 1, time, { ...free, freeDelayMsMax: 290 })?.reason).to.equal('queue_delay');
    expect(shed(backlog, 1, time, { ...free, remainingMs: 590 })?.reason).to.equal('deadline');
  });

  it('refuses what would be late, with a margin, and lets in what would not', () => {
    const time = taking(100);
    // Half a round of waiting, and its own.
    const neededMs = 150 * 1.5;
    const limits = { queueDelayMsMax: 1e9, freeDelayMsMax: 0, rowsFree: 0 };
    expect(shed(busy, 1, time, { ...limits, remainingMs: neededMs - 1 })).to.deep.equal({
      reason: 'deadline',
      drainMs: 50,
    });
    expect(shed(busy, 1, time, { ...limits, remainingMs: neededMs + 1 })).to.equal(undefined);
  });

  it('lets in whoever is in the first job when none is out: nobody is shut out for good', () => {
    fc.assert(
      fc.property(
        fc.double({ min: 0, max: 1e9, noNaN: true }),
        fc.nat(9),
        fc.integer({ min: 1, max: 100 }),
        (ms, waitingRows, rows) => {
          const backlog = { ...busy, jobsOut: 0, rowsOut: 0, waitingRows };
          const impatient = { remainingMs: 0, queueDelayMsMax: 0, freeDelayMsMax: 0, rowsFree: 0 };
          expect(shed(backlog, rows, taking(ms), impatient)).to.equal(undefined);
        },
      ),
    );
  });

  it('refuses no one for whom there is less ahead than for one whom it lets in', () => {
    fc.assert(
      fc.property(
        fc.double({ min: 0, max: 1000, noNaN: true }),
        fc.nat(2000),
        fc.nat(2000),
        fc.integer({ min: 1, max: 4 }),
        fc.nat(4),
        (ms, one, other, jobsInFlightMax, out) => {
          const [less, more] = [Math.min(one, other), Math.max(one, other)];
          const jobsOut = Math.min(out, jobsInFlightMax);
          const backlog = { jobsOut, rowsOut: 10 * jobsOut, jobsInFlightMax, batchRows: 10 };
          const patience = { remainingMs: 1000, queueDelayMsMax: 30, freeDelayMsMax: 200, rowsFree: 50 };
          const time = taking(ms);
          if (shed({ ...backlog, waitingRows: more }, 1, time, patience) !== undefined) return;
          expect(shed({ ...backlog, waitingRows: less }, 1, time, patience)).to.equal(undefined);
        },
      ),
    );
  });
});
