import { expect } from 'chai';
import { HostPool } from '../../src/workers/host-pool.ts';
import type { RunOutcome } from '../../src/workers/host-pool.ts';
import { Quarantine } from '../../src/workers/quarantine.ts';
import { isAlive } from '../support/processes.ts';
import { fixtureSpec, nonceRun, nowMs, poisonHost, poolDefaults } from './support/hosts.ts';
import { abortMarker, hangMarker } from './support/markers.ts';

function valuesOf(outcome: RunOutcome): readonly unknown[] {
  if (outcome.kind !== 'ran') throw new Error(`the run ended as ${JSON.stringify(outcome)}`);
  return Array.from<unknown>(outcome.tensors.get('y')?.data ?? []);
}

describe('quarantine', () => {
  let opened: HostPool[];
  let quarantine: Quarantine;
  beforeEach(() => {
    opened = [];
    quarantine = makeQuarantine(60_000);
  });
  afterEach(() => quarantine.close());

  function makeQuarantine(idleMs: number, closed: () => void = () => {}): Quarantine {
    return new Quarantine({
      openHosts: () => {
        const hosts = new HostPool({ ...poolDefaults, hostEntry: poisonHost });
        const close = hosts.close.bind(hosts);
        hosts.close = (graceMs) => close(graceMs).then(closed);
        hosts.start();
        opened.push(hosts);
        return hosts;
      },
      idleMs,
      stopMs: 1000,
      nowMs,
    });
  }

  it('has no host until it is needed, and one then', async () => {
    expect(quarantine.isOpen).to.equal(false);
    const outcomes = await Promise.all(
      [1, 2].map((value) => quarantine.run(fixtureSpec('nonce'), nonceRun([value]))),
    );
    expect(outcomes.map(valuesOf)).to.deep.equal([[4], [7]]);
    expect(opened.map(({ pids }) => pids.length)).to.deep.equal([1]);
  });

  it('answers what comes behind a killer from the next host', async () => {
    const outcomes = await Promise.all(
      [abortMarker, 2].map((value) => quarantine.run(fixtureSpec('nonce'), nonceRun([value]))),
    );
    expect(outcomes[0]).to.deep.equal({ kind: 'host_died' });
    expect(valuesOf(outcomes[1]!)).to.deep.equal([7]);
  });

  it('holds one version at a time', async () => {
    const nonce = fixtureSpec('nonce');
    const [x] = nonceRun([1, 2, 3]).tensors.values();
    const identity = {
      ...nonceRun([]),
      key: 'identity-float64',
      tensors: new Map([['x', { ...x!, shape: [1, 3] }]]),
    };
    await quarantine.run(nonce, nonceRun([1]));
    const other = await quarantine.run(fixtureSpec('identity-float64'), identity);
    expect(valuesOf(other)).to.deep.equal([1, 2, 3]);
    expect(opened[0]!.isResident('nonce')).to.equal(false);
    expect(valuesOf(await quarantine.run(nonce, nonceRun([1])))).to.deep.equal([4]);
  });

  it('drops a run whose deadline passes behind another', async () => {
    await quarantine.run(fixtureSpec('nonce'), nonceRun([1]));
    const hung = quarantine.run(fixtureSpec('nonce'), nonceRun([hangMarker], { deadlineMs: nowMs() + 500 }));
    const late = quarantine.run(fixtureSpec('nonce'), nonceRun([1], { deadlineMs: nowMs() + 50 }));
    expect(await late).to.deep.equal({ kind: 'expired' });
    expect(await hung).to.deep.equal({ kind: 'host_hung' });
  });

  it('drops a run whose signal has fired by its turn', async () => {
    const signal = AbortSignal.abort();
    expect(await quarantine.run(fixtureSpec('nonce'), nonceRun([1], { signal }))).to.deep.equal({
      kind: 'expired',
    });
    expect(quarantine.isOpen).to.equal(false);
  });

  it('answers with the error of a version that it cannot load, and goes on', async () => {
    const broken = fixtureSpec('nonce', { key: 'broken', digest: 'f'.repeat(64) });
    const outcome = await quarantine.run(broken, nonceRun([1], { key: 'broken' }));
    expect(outcome).to.have.nested.property('error.code', 'bad_gateway');
    expect(valuesOf(await quarantine.run(fixtureSpec('nonce'), nonceRun([1])))).to.deep.equal([4]);
  });

  it('ends its host when nothing needed it for a while, and starts another for the next run', async () => {
    const idle = Promise.withResolvers<void>();
    const brief = makeQuarantine(10, idle.resolve);
    await brief.run(fixtureSpec('nonce'), nonceRun([1]));
    const pids = opened[0]!.pids;
    await idle.promise;
    expect(brief.isOpen).to.equal(false);
    expect(pids.filter(isAlive)).to.deep.equal([]);
    expect(valuesOf(await brief.run(fixtureSpec('nonce'), nonceRun([2])))).to.deep.equal([7]);
    await brief.close();
    expect(opened.flatMap((hosts) => hosts.pids)).to.deep.equal([]);
    expect(await brief.run(fixtureSpec('nonce'), nonceRun([1]))).to.deep.equal({ kind: 'expired' });
  });
});
