import { expect } from 'chai';
import fc from 'fast-check';
import { CacheBudget } from '../../src/api/cache-budget.ts';

describe('cache budget', () => {
  it('refuses beyond its bytes, and has them again once they have expired', () => {
    const budget = new CacheBudget(100);
    expect(budget.take(60, 60_000, 5000)).to.equal(true);
    expect(budget.take(41, 60_000, 5000)).to.equal(false);
    expect(budget.take(40, 20_000, 5000)).to.equal(true);
    expect(budget.take(1, 1000, 24_000)).to.equal(false);
    expect(budget.take(40, 60_000, 30_000)).to.equal(true);
    expect(budget.take(1, 1000, 64_000)).to.equal(false);
    expect(budget.take(60, 1000, 70_000)).to.equal(true);
  });

  it('never has more bytes of live entries out than it may, and at most 10 s of dead ones', () => {
    const step = fc.record({
      afterMs: fc.integer({ min: 0, max: 30_000 }),
      bytes: fc.integer({ min: 1, max: 400 }),
      ttlMs: fc.integer({ min: 1, max: 90_000 }),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const budget = new CacheBudget(1000);
        const out: { bytes: number; expiresAtMs: number }[] = [];
        let nowMs = 0;
        for (const { afterMs, bytes, ttlMs } of steps) {
          nowMs += afterMs;
          const bytesOut = (graceMs: number) =>
            out.reduce((sum, entry) => sum + (entry.expiresAtMs + graceMs > nowMs ? entry.bytes : 0), 0);
          const taken = budget.take(bytes, ttlMs, nowMs);
          if (taken) out.push({ bytes, expiresAtMs: nowMs + ttlMs });
          if (taken) expect(bytesOut(0)).to.be.at.most(1000);
          else expect(bytesOut(10_000) + bytes).to.be.above(1000);
        }
      }),
    );
  });
});
