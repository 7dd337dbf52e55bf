import { expect } from 'chai';
import { channels } from '../../src/channels.ts';
import type { VersionFaultEvent } from '../../src/channels.ts';
import { VersionFaults } from '../../src/workers/version-faults.ts';
import { collectEvents } from './support/collect-events.ts';

const nonce = { model: 'nonce', version: '1' };

describe('version faults', () => {
  let nowMs: number;
  let faults: VersionFaults;
  beforeEach(() => {
    nowMs = 1_000_000;
    faults = new VersionFaults(() => nowMs);
  });

  it('flags a version for ten minutes after its last fault, and tells of each', () => {
    const log = collectEvents<VersionFaultEvent>(channels.versionFault);
    faults.record(nonce, 'host_died');
    nowMs += 599_999;
    faults.record({ model: 'wine', version: 'v1' }, 'host_hung');
    expect(faults.flagged).to.deep.equal(['nonce/1', 'wine/v1']);
    nowMs += 2;
    expect(faults.flagged).to.deep.equal(['wine/v1']);
    expect(log.events).to.deep.equal([
      { model: 'nonce', version: '1', reason: 'host_died' },
      { model: 'wine', version: 'v1', reason: 'host_hung' },
    ]);
    log.stop();
  });

  it('calls three deaths within a minute repeated, until the first of the last three is a minute old', () => {
    faults.record(nonce, 'host_died');
    faults.record(nonce, 'host_died');
    expect(faults.isRepeated(nonce)).to.equal(false);
    nowMs += 59_999;
    faults.record(nonce, 'host_died');
    expect(faults.isRepeated(nonce)).to.equal(true);
    expect(faults.isRepeated({ model: 'nonce', version: '2' })).to.equal(false);
    nowMs += 1;
    expect(faults.isRepeated(nonce)).to.equal(false);
    faults.record(nonce, 'host_died');
    expect(faults.isRepeated(nonce)).to.equal(false);
    faults.record(nonce, 'host_died');
    expect(faults.isRepeated(nonce)).to.equal(true);
  });

  it('does not call hung runs repeated: an overloaded version has them as well', () => {
    for (let time = 0; time < 5; time += 1) faults.record(nonce, 'host_hung');
    expect(faults.flagged).to.deep.equal(['nonce/1']);
    expect(faults.isRepeated(nonce)).to.equal(false);
  });
});
