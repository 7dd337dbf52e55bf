import { expect } from 'chai';
import { fullJitterMs } from '../../../src/queues/batch/full-jitter.ts';

const backoff = { backoffMs: 200, backoffMsMax: 5000 };

describe('full jitter', () => {
  it('doubles its bound with each failure up to the greatest', () => {
    const bounds = [1, 2, 3, 4, 5, 6, 7, 1000].map((failures) => fullJitterMs(failures, backoff, 1));
    expect(bounds).to.deep.equal([200, 400, 800, 1600, 3200, 5000, 5000, 5000]);
  });

  it('takes anything between nothing and the bound', () => {
    expect(fullJitterMs(3, backoff, 0)).to.equal(0);
    expect(fullJitterMs(3, backoff, 0.25)).to.equal(200);
  });
});
