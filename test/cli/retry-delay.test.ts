import { expect } from 'chai';
import fc from 'fast-check';
import { parseRetryAfter, retryDelayMs } from '../../src/cli/retry-delay.ts';

describe('retryDelayMs', () => {
  it('grows from half a second to ten, by chance in the upper half', () => {
    expect([0, 1, 2, 3, 4, 5, 50].map((attempt) => retryDelayMs(attempt, null, 1))).to.deep.equal([
      500, 1000, 2000, 4000, 8000, 10_000, 10_000,
    ]);
    expect(retryDelayMs(3, null, 0)).to.equal(2000);
  });

  it('is never shorter than the server asked for', () => {
    fc.assert(
      fc.property(
        fc.nat(60),
        fc.nat(60_000),
        fc.double({ min: 0, max: 1, noNaN: true }),
        (attempt, askedMs, random) => {
          expect(retryDelayMs(attempt, askedMs, random)).to.be.within(askedMs, Math.max(askedMs, 10_000));
        },
      ),
    );
  });

  it('reads seconds, and nothing else', () => {
    expect(['3', '0', 'Wed, 25 Nov 2026 01:00:00 GMT', '-1', undefined].map(parseRetryAfter)).to.deep.equal([
      3000,
      0,
      null,
      null,
      null,
    ]);
  });
});
