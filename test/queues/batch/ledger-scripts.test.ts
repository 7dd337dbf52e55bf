import { expect } from 'chai';
import { readdirSync, readFileSync } from 'node:fs';
import { createLedgerScripts, ledgerScriptNames } from '../../../src/queues/batch/ledger-scripts.ts';
import { redisUrl } from '../../support/services.ts';
import { closeConnections, connect } from '../builders.ts';
import { makeLedgerRig } from './support/ledger-rig.ts';

const folder = new URL('../../../src/queues/batch/scripts/', import.meta.url);

describe('ledger scripts', () => {
  afterEach(closeConnections);

  it('are all there, and no others', () => {
    const files = readdirSync(folder).filter((file) => file !== 'prelude.lua');
    expect(files).to.have.members(ledgerScriptNames.map((name) => `${name}.lua`));
  });

  for (const name of ledgerScriptNames)
    it(`${name} says what it takes and returns`, () => {
      const text = readFileSync(new URL(`${name}.lua`, folder), 'utf8');
      const head = text.split('\n').filter((line) => line.startsWith('-- '));
      expect(head.join(' ')).to.match(/Returns/);
    });

  it('touch no key outside their root', async () => {
    const { redis, keys, ledger, submit } = await makeLedgerRig();
    const id = await submit(2);
    await ledger.claim('default', 2);
    await ledger.cancel(id);
    const tag = keys.batches.replace(/:batch$/, '');
    const names = await redis.keys(`*${tag.slice(1, -1)}*`);
    expect(names.length).to.be.greaterThan(5);
    for (const name of names) expect(name.startsWith(keys.batches)).to.equal(true);
  });

  it('are loaded again where Redis does not know them, and fail as what they are', async () => {
    const redis = await connect('command', redisUrl());
    const run = createLedgerScripts({ redis, root: '{scripts}:batch', uploadLeaseMs: 1 });
    await redis.script('FLUSH');
    expect(await run('get', 'batch_none')).to.equal('gone');
    await redis.set('{scripts}:batch:list', 'not a sorted set', 'PX', 60_000);
    const failure = await run('list', '', '', 1).catch((error: unknown) => error);
    expect(failure).to.have.property('code', 'service_unavailable');
  });
});
