import { expect } from 'chai';
import { createFaultLimiter } from '../../src/telemetry/fault-limiter.ts';

describe('fault limiter', () => {
  it('admits the first, leaves out the rest of the window, then says how many those were', () => {
    const limiter = createFaultLimiter(100, 10);
    expect([0, 1, 99, 100, 150].map((nowMs) => limiter.admit('a', nowMs))).to.deep.equal([
      0,
      undefined,
      undefined,
      2,
      undefined,
    ]);
  });

  it('counts each key for itself', () => {
    const limiter = createFaultLimiter(100, 10);
    expect([limiter.admit('a', 0), limiter.admit('b', 0), limiter.admit('a', 1)]).to.deep.equal([
      0,
      0,
      undefined,
    ]);
  });

  it('gives what was left out and not told, once', () => {
    const limiter = createFaultLimiter(100, 10);
    for (const key of ['a', 'a', 'a', 'b']) limiter.admit(key, 0);
    expect([...limiter.drain()]).to.deep.equal([['a', 2]]);
    expect([...limiter.drain()]).to.deep.equal([]);
  });

  it('forgets the longest known key when it knows too many', () => {
    const limiter = createFaultLimiter(100, 2);
    for (const key of ['a', 'b', 'c']) limiter.admit(key, 0);
    expect(limiter.admit('c', 1)).to.equal(undefined);
    expect(limiter.admit('a', 1)).to.equal(0);
  });
});
