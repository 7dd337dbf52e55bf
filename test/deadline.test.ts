import { expect } from 'chai';
import { isExpired } from '../src/deadline.ts';

describe('deadline', () => {
  it('is expired at its instant and not a millisecond before', () => {
    expect(isExpired(1000, 999)).to.equal(false);
    expect(isExpired(1000, 1000)).to.equal(true);
  });
});
