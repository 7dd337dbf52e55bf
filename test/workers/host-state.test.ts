import { expect } from 'chai';
import { channels } from '../../src/channels.ts';
import type { HostEvent } from '../../src/channels.ts';
import { HostLife, hostStates, isTerminal } from '../../src/workers/host-state.ts';
import { collectEvents } from './support/collect-events.ts';

describe('host state', () => {
  it('ends in stopped or defunct, and nowhere else', () => {
    expect(hostStates.filter(isTerminal)).to.deep.equal(['stopped', 'defunct']);
  });

  it('publishes every change, with the process and the reason', () => {
    const log = collectEvents<HostEvent>(channels.host);
    const life = new HostLife('host-0.1');
    life.spawned(4711);
    life.moveTo('ready');
    life.moveTo('busy');
    life.moveTo('defunct', 'died');
    log.stop();
    expect(log.events.map(({ state, pid, reason }) => [state, pid, reason])).to.deep.equal([
      ['starting', 4711, undefined],
      ['ready', 4711, undefined],
      ['busy', 4711, undefined],
      ['defunct', 4711, 'died'],
    ]);
  });

  it('refuses what the table does not hold', () => {
    const life = new HostLife('host-0.1');
    expect(() => life.moveTo('busy')).to.throw('cannot go from starting to busy');
    life.moveTo('defunct');
    for (const state of hostStates) expect(() => life.moveTo(state)).to.throw('This is a bug');
  });
});
