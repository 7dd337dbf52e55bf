import { expect } from 'chai';
import { EventEmitter } from 'node:events';
import { listenForInterrupt } from '../../src/cli/interrupt.ts';

describe('listenForInterrupt', () => {
  it('ends in good order first, and at once the second time', () => {
    const source = new EventEmitter() as unknown as NodeJS.Process;
    let nowMs = 0;
    let exits = 0;
    const interrupt = listenForInterrupt(
      source,
      () => (exits += 1),
      () => nowMs,
    );
    source.emit('SIGINT');
    expect(interrupt.signal.aborted).to.equal(true);
    nowMs = 100;
    source.emit('SIGINT');
    expect(exits, 'the same one, passed on by npm').to.equal(0);
    nowMs = 600;
    source.emit('SIGINT');
    expect(exits).to.equal(1);
  });
});
