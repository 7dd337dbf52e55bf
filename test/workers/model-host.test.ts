import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect } from 'chai';
import { encodeTensors } from '../../src/tensors/binary-codec.ts';
import { frameBytesMax } from '../../src/workers/host/frames.ts';
import { ModelHost } from '../../src/workers/model-host.ts';
import { tensor } from '../support/builders.ts';
import { fixtureSpec, poolDefaults, realHost } from './support/hosts.ts';

describe('model host', () => {
  it('is started again when the process had no file descriptors for it', async () => {
    const script = fileURLToPath(new URL('support/starved-pool.ts', import.meta.url));
    const command = ['-c', 'ulimit -n 64; exec "$0" "$1"', process.execPath, script];
    const { stdout } = await promisify(execFile)('/bin/sh', command);
    expect(stdout).to.equal('serving');
  });

  it('fails a run that no frame can hold, and goes on', async () => {
    const { startTimeoutMs, loadTimeoutMs } = poolDefaults;
    const host = new ModelHost({ hostId: 'host-0.1', entry: realHost, env: {}, startTimeoutMs });
    try {
      await host.ready;
      await host.load(fixtureSpec('nonce'), loadTimeoutMs);
      const run = { key: 'nonce', outputs: null, limitMs: loadTimeoutMs };
      const tooLarge = await host.run({ ...run, body: [new Uint8Array(frameBytesMax)] });
      expect(tooLarge).to.have.nested.property('error.code', 'internal_error');
      expect([host.state, host.inFlightCount]).to.deep.equal(['ready', 0]);
      const body = encodeTensors(new Map([['x', tensor('FP64', [1, 1], [2])]]));
      expect((await host.run({ ...run, body: [body] })).kind).to.equal('ran');
    } finally {
      await host.stop(1000);
    }
  });
});
