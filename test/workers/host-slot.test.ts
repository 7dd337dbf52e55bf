import { expect } from 'chai';
import { restartDelayMs } from '../../src/workers/host-slot.ts';

describe('restart delay of a host', () => {
  const delays = (wasUp: boolean, count: number): readonly number[] =>
    Array.from({ length: count }, (_, earlyEnds) => restartDelayMs(earlyEnds, wasUp, 1000));

  it('is nothing while one killer among 64 rows is singled out, then doubles up to its bound', () => {
    expect(delays(true, 15)).to.deep.equal([0, 0, 0, 0, 0, 0, 0, 0, 0, 100, 200, 400, 800, 1000, 1000]);
  });

  it('grows from the first failure on when a host never came up', () => {
    expect(delays(false, 6)).to.deep.equal([0, 100, 200, 400, 800, 1000]);
  });
});
