import { expect } from 'chai';
import { Saturation } from '../../src/api/saturation.ts';

/** A saturation whose event loop was busy for `busy.share` of the time between two looks. */
function makeSaturation(): { saturation: Saturation; busy: { share: number } } {
  const busy = { share: 0 };
  const saturation = new Saturation({
    utilization: () => ({ idle: 0, active: 0, utilization: busy.share }),
    inFlightMin: 10,
    delayMsMax: 50,
  });
  return { saturation, busy };
}

function answer(saturation: Saturation, count: number): void {
  for (let n = 0; n < count; n += 1) saturation.answered();
}

describe('saturation', () => {
  it('bounds nothing while the process has time left', () => {
    const { saturation, busy } = makeSaturation();
    busy.share = 0.9;
    for (const nowMs of [1000, 1100, 1200]) {
      answer(saturation, 1);
      expect(saturation.limit(nowMs)).to.equal(Number.POSITIVE_INFINITY);
    }
  });

  it('bounds a saturated process to what it gets done within the delay', () => {
    const { saturation, busy } = makeSaturation();
    saturation.limit(1000);
    busy.share = 1;
    answer(saturation, 1100);
    expect(saturation.limit(1100)).to.equal(550);
    answer(saturation, 200);
    expect(saturation.limit(1200)).to.equal(100);
    expect(saturation.limit(1249), 'within the same window').to.equal(100);
  });

  it('never bounds it to fewer than it must bear, and lets go once there is time again', () => {
    const { saturation, busy } = makeSaturation();
    busy.share = 1;
    saturation.limit(1000);
    answer(saturation, 1100);
    saturation.limit(1100);
    expect(saturation.limit(1200)).to.equal(10);
    busy.share = 0.5;
    expect(saturation.limit(1300)).to.equal(Number.POSITIVE_INFINITY);
  });

  it('lets a burst pass, however long it takes to answer within reason', () => {
    const { saturation, busy } = makeSaturation();
    busy.share = 1;
    saturation.limit(1000);
    for (const nowMs of [1500, 2000, 2500]) {
      answer(saturation, 300);
      expect(saturation.limit(nowMs)).to.equal(Number.POSITIVE_INFINITY);
    }
  });

  it('takes no spell for a burst that does not end', () => {
    const { saturation, busy } = makeSaturation();
    saturation.limit(1000);
    busy.share = 1;
    answer(saturation, 1);
    expect(saturation.limit(4100)).to.equal(10);
  });
});
