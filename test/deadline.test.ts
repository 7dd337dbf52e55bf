import { expect } from 'chai';
import fc from 'fast-check';
import { deadlineAfter, isExpired, remainingMs } from '../src/deadline.ts';

const instants = fc.integer({ min: 0, max: 4_000_000_000_000 });
const spans = fc.integer({ min: 0, max: 86_400_000 });

describe('deadline', () => {
  it('has the whole timeout left when it is set', () => {
    fc.assert(
      fc.property(instants, spans, (nowMs, timeoutMs) => {
        expect(remainingMs(deadlineAfter(timeoutMs, nowMs), nowMs)).to.equal(timeoutMs);
      }),
    );
  });

  it('is expired exactly when nothing is left', () => {
    fc.assert(
      fc.property(instants, instants, (deadlineMs, nowMs) => {
        expect(isExpired(deadlineMs, nowMs)).to.equal(remainingMs(deadlineMs, nowMs) === 0);
      }),
    );
  });

  it('is expired at its instant and not a millisecond before', () => {
    expect(isExpired(1000, 999)).to.equal(false);
    expect(isExpired(1000, 1000)).to.equal(true);
  });
});
