import { expect } from 'chai';
import fc from 'fast-check';
import { panesCounted, panesPerWindow, SlidingWindow } from '../../src/api/sliding-window.ts';

describe('SlidingWindow', () => {
  const calls = fc.array(fc.record({ gap: fc.nat({ max: 80 }), wanted: fc.nat({ max: 12 }) }), {
    maxLength: 60,
  });

  it('never lets more than the limit into any window, and one pane beside', () => {
    fc.assert(
      fc.property(calls, fc.integer({ min: 1, max: 20 }), (made, limit) => {
        const window = new SlidingWindow(1000);
        const spent: number[] = [];
        let pane = 1000;
        for (const { gap, wanted } of made) {
          pane += gap;
          for (let each = 0; each < wanted && window.spent(pane) < limit; each++) {
            window.add(pane, 1);
            spent.push(pane);
          }
          const counted = spent.filter((each) => each > pane - panesCounted).length;
          expect(window.spent(pane)).to.equal(counted).and.be.at.most(limit);
        }
      }),
    );
  });

  it('says with which pane more comes free', () => {
    const window = new SlidingWindow(7);
    expect(window.freedIn(7)).to.equal(8);
    window.add(7, 2);
    window.add(9, 1);
    const freed = window.freedIn(9);
    expect(window.spent(freed - 1)).to.equal(3);
    expect(window.spent(freed)).to.equal(1);
    expect(freed - 7).to.equal(panesPerWindow + 2);
    expect(window.freedIn(freed)).to.equal(freed + 2);
  });

  it('forgets all of it after a long silence, and takes back', () => {
    const window = new SlidingWindow(3);
    window.add(3, 5);
    window.add(3, -1);
    expect(window.spent(3)).to.equal(4);
    expect(window.spent(1_000_000)).to.equal(0);
  });
});
