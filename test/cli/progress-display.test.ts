import { expect } from 'chai';
import type { Progress } from '../../src/cli/progress.ts';
import { ProgressDisplay } from '../../src/cli/progress-display.ts';

const eraseLine = '\r\u001b[2K';

function at(done: number): Progress {
  return { label: 'b', unit: 'rows', done, total: 1000, perSecond: null, failed: 0, paused: false };
}

function rig({ isTTY }: { readonly isTTY: boolean }) {
  const written: string[] = [];
  let nowMs = 0;
  const stream = { isTTY, columns: 41, write: (text: string) => written.push(text) };
  const display = new ProgressDisplay(stream, () => nowMs);
  return { written, display, pass: (ms: number) => (nowMs += ms) };
}

describe('ProgressDisplay', () => {
  it('writes a line for each tenth where there is no terminal, no two within a second', () => {
    const { written, display, pass } = rig({ isTTY: false });
    for (let done = 0; done <= 1000; done += 1) {
      display.show(at(done));
      pass(20);
    }
    expect(written).to.have.lengthOf(10);
    expect(written[0]).to.equal('b  10 %  100 of 1,000 rows\n');
    for (const mark of ['\r', '█', '\u001b']) expect(written.join('')).not.to.include(mark);
  });

  it('says that it lives when nothing happens for ten seconds', () => {
    const { written, display, pass } = rig({ isTTY: false });
    display.show(at(5));
    pass(9_999);
    display.show(at(6));
    pass(1);
    display.show(at(7));
    expect(written).to.deep.equal(['b  0 %  7 of 1,000 rows\n']);
  });

  it('draws over its bar at most ten times a second, within the width', () => {
    const { written, display, pass } = rig({ isTTY: true });
    for (let step = 0; step <= 1000; step += 1) {
      display.show(at(step));
      pass(1);
    }
    display.clear();
    expect(written.length).to.be.at.most(12);
    for (const text of written) {
      expect(text.startsWith(eraseLine)).to.equal(true);
      expect(text.length - eraseLine.length).to.be.at.most(40);
    }
    expect(written.at(-1)).to.equal(eraseLine);
  });

  it('puts lines of others above the bar', () => {
    const { written, display } = rig({ isTTY: true });
    display.show(at(500));
    display.note('trying again');
    display.clear();
    expect(written.slice(1, 4)).to.deep.equal([eraseLine, 'trying again\n', written[0]]);
  });
});
