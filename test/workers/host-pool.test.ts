import { expect } from 'chai';
import { channels } from '../../src/channels.ts';
import type { FaultEvent, HostEvent } from '../../src/channels.ts';
import { HostPool } from '../../src/workers/host-pool.ts';
import type { RunOutcome } from '../../src/workers/host-pool.ts';
import { collectEvents } from './support/collect-events.ts';
import type { EventLog } from './support/collect-events.ts';
import {
  closePools,
  fixtureSpec,
  nonceRun,
  nowMs,
  openPool,
  poisonHost,
  poolDefaults,
} from './support/hosts.ts';
import { abortMarker, hangMarker } from './support/markers.ts';
import { isAlive } from '../support/processes.ts';
import { tensor } from '../support/builders.ts';

function valuesOf(outcome: RunOutcome): readonly number[] {
  if (outcome.kind !== 'ran') throw new Error(`the run ended as ${JSON.stringify(outcome)}`);
  return Array.from(outcome.tensors.get('y')?.data as Float64Array);
}

const slowRun = (iterations: bigint, deadlineMs: number) =>
  ({
    key: 'slow-loop',
    lane: 'online',
    outputs: null,
    tensors: new Map([['iterations', tensor('INT64', [1], [iterations])]]),
    deadlineMs,
  }) as const;

describe('host pool', () => {
  let hostLog: EventLog<HostEvent>;
  let faultLog: EventLog<FaultEvent>;

  beforeEach(() => {
    hostLog = collectEvents(channels.host);
    faultLog = collectEvents(channels.fault);
  });

  afterEach(async () => {
    await closePools();
    hostLog.stop();
    faultLog.stop();
  });

  async function everyHost(change: NonNullable<HostEvent['change']>): Promise<void> {
    for (const slot of ['host-0', 'host-1'])
      await hostLog.next((event) => event.hostId.startsWith(slot) && event.change === change);
  }

  it('runs a version in its hosts', async () => {
    const pool = await openPool({ hostCount: 2 });
    await pool.load(fixtureSpec('nonce'));
    const outcomes = await Promise.all([1, 2, 3, 4, 5].map((value) => pool.run(nonceRun([value]))));
    expect(outcomes.map(valuesOf)).to.deep.equal([[4], [7], [10], [13], [16]]);
  });

  it('loads a resident version into every host', async () => {
    const pool = await openPool({ hostCount: 2 });
    await pool.load(fixtureSpec('nonce'));
    await everyHost('loaded');
  });

  it('tells of the death of its host under a run, and serves on from the replacement', async () => {
    const pool = await openPool();
    await pool.load(fixtureSpec('slow-loop'));
    const running = pool.run(slowRun(20_000n, nowMs() + 15_000));
    await hostLog.next(({ state }) => state === 'busy');
    const [victim] = pool.pids;
    process.kill(victim as number, 'SIGKILL');
    expect(await running).to.deep.equal({ kind: 'host_died' });
    expect(await pool.run(slowRun(1n, nowMs() + 15_000))).to.have.property('kind', 'ran');
    expect(pool.pids).not.to.include(victim);
    await hostLog.next(({ pid, state }) => pid === victim && state === 'defunct');
  });

  it('does not count a death against the run that only waited in the pipe', async () => {
    const pool = await openPool({ hostEntry: poisonHost });
    await pool.load(fixtureSpec('nonce'));
    // A short run before, so that the next but one is sent ahead.
    await pool.run(nonceRun([1]));
    const killer = pool.run(nonceRun([abortMarker]));
    const bystanders = Promise.all([2, 3].map((value) => pool.run(nonceRun([value]))));
    expect((await bystanders).map(valuesOf)).to.deep.equal([[7], [10]]);
    expect(await killer).to.deep.equal({ kind: 'host_died' });
  });

  it('loses one host to a killer, and knows how it loads what it holds', async () => {
    const pool = await openPool({ hostEntry: poisonHost });
    await pool.load(fixtureSpec('nonce'));
    expect(await pool.run(nonceRun([1, abortMarker]))).to.deep.equal({ kind: 'host_died' });
    expect(deaths(hostLog)).to.have.length(1);
    expect(valuesOf(await pool.run(nonceRun([5])))).to.deep.equal([16]);
    expect(pool.specOf('nonce')).to.deep.equal(fixtureSpec('nonce'));
    expect(pool.specOf('sum-rows')).to.equal(undefined);
  });

  it('kills a hung host at the limit of its run while another host goes on', async () => {
    const pool = await openPool({ hostCount: 2, hostEntry: poisonHost, runTimeoutMs: 300 });
    await pool.load(fixtureSpec('nonce'));
    await everyHost('loaded');
    const hung = pool.run(nonceRun([hangMarker]));
    const others = Promise.all([1, 2, 3].map((value) => pool.run(nonceRun([value]))));
    expect((await others).map(valuesOf)).to.deep.equal([[4], [7], [10]]);
    expect(await hung).to.deep.equal({ kind: 'host_hung' });
  });

  it('takes a run for hung when its deadline and the grace have passed', async () => {
    const pool = await openPool({ hostEntry: poisonHost, hungGraceMs: 20 });
    await pool.load(fixtureSpec('nonce'));
    const hung = await pool.run(nonceRun([hangMarker], { deadlineMs: nowMs() + 100 }));
    expect(hung).to.deep.equal({ kind: 'host_hung' });
    expect(valuesOf(await pool.run(nonceRun([5])))).to.deep.equal([16]);
  });

  it('drops a run whose deadline passes while it waits', async () => {
    const pool = await openPool({ hostEntry: poisonHost, runTimeoutMs: 400 });
    await pool.load(fixtureSpec('nonce'));
    const hung = pool.run(nonceRun([hangMarker]));
    const waiting = await pool.run(nonceRun([1], { deadlineMs: nowMs() + 50 }));
    expect(waiting).to.deep.equal({ kind: 'expired' });
    expect(await hung).to.deep.equal({ kind: 'host_hung' });
  });

  it('sends nothing behind a run of another version, which may hang', async () => {
    const pool = await openPool({ hostCount: 2, hostEntry: poisonHost, hungGraceMs: 20 });
    await pool.load(fixtureSpec('nonce'));
    await pool.load(fixtureSpec('sum-rows'));
    await everyHost('loaded');
    await hostLog.next(
      ({ hostId, change, model }) =>
        hostId.startsWith('host-1') && change === 'loaded' && model === 'sum-rows',
    );
    // Both are known to be short, so that either would be sent ahead.
    await Promise.all([1, 2, 3].map((value) => pool.run(nonceRun([value]))));
    const x = tensor('FP32', [1, 5], [1, 2, 3, 4, 5]);
    const other = { ...nonceRun([]), key: 'sum-rows', tensors: new Map([['x', x]]) };
    await pool.run(other);
    const hung = pool.run(nonceRun([hangMarker], { deadlineMs: nowMs() + 1000 }));
    const others = await Promise.all(Array.from({ length: 8 }, () => pool.run(other)));
    expect(others.map(({ kind }) => kind)).to.deep.equal(others.map(() => 'ran'));
    expect(pool.busyHostCount).to.equal(1);
    expect(await hung).to.deep.equal({ kind: 'host_hung' });
  });

  it('drops a run that waits when its signal fires, and one whose signal has fired before', async () => {
    const pool = await openPool({ hostEntry: poisonHost, runTimeoutMs: 400 });
    await pool.load(fixtureSpec('nonce'));
    const hung = pool.run(nonceRun([hangMarker]));
    const controller = new AbortController();
    const waiting = pool.run(nonceRun([1], { signal: controller.signal }));
    controller.abort();
    expect(await waiting).to.deep.equal({ kind: 'expired' });
    expect(await pool.run(nonceRun([1], { signal: controller.signal }))).to.deep.equal({ kind: 'expired' });
    expect(await hung).to.deep.equal({ kind: 'host_hung' });
  });

  it('does not run what is late, though a host is free', async () => {
    const pool = await openPool();
    await pool.load(fixtureSpec('nonce'));
    expect(await pool.run(nonceRun([1], { deadlineMs: nowMs() - 1 }))).to.deep.equal({ kind: 'expired' });
    expect(valuesOf(await pool.run(nonceRun([2])))).to.deep.equal([7]);
  });

  it('runs online before bulk that came first', async () => {
    const pool = await openPool();
    await pool.load(fixtureSpec('slow-loop'));
    const order: string[] = [];
    const run = async (lane: 'online' | 'bulk', name: string): Promise<void> => {
      await pool.run({ ...slowRun(2_000n, nowMs() + 15_000), lane });
      order.push(name);
    };
    const bulk = ['b1', 'b2', 'b3'].map((name) => run('bulk', name));
    const online = run('online', 'o1');
    await Promise.all([...bulk, online]);
    expect(order.indexOf('o1')).to.be.lessThan(order.indexOf('b2'));
  });

  it('gives bulk its share of the hosts under lasting online load, one run at a time', async () => {
    const pool = await openPool({ bulkSharePercentMin: 20 });
    await pool.load(fixtureSpec('slow-loop'));
    const order: ('online' | 'bulk')[] = [];
    const spentMs = { online: 0, bulk: 0 };
    const bulkCount = 6;
    let bulkDone = 0;
    // As many waiting at any time as it takes for online to leave nothing: 2 ms and 20 ms each, or what this machine makes of it.
    const keepRunning = async (lane: 'online' | 'bulk', iterations: bigint): Promise<void> => {
      while (bulkDone < bulkCount) {
        const outcome = await pool.run({ ...slowRun(iterations, nowMs() + 60_000), lane });
        if (outcome.kind !== 'ran') throw new Error(`the run ended as ${outcome.kind}`);
        order.push(lane);
        spentMs[lane] += outcome.runMs;
        if (lane === 'bulk') bulkDone += 1;
      }
    };
    const online = Array.from({ length: 4 }, () => keepRunning('online', 80n));
    const bulk = Array.from({ length: 3 }, () => keepRunning('bulk', 800n));
    await Promise.all([...online, ...bulk]);
    const contended = order.slice(
      0,
      order.findLastIndex((lane) => lane === 'online'),
    );
    expect(contended.join(' ')).not.to.include('bulk bulk');
    expect(spentMs.bulk / (spentMs.bulk + spentMs.online)).to.be.within(0.1, 0.5);
  });

  it('sends no bulk run ahead that is long, so that online waits for one at most', async () => {
    const pool = await openPool();
    await pool.load(fixtureSpec('slow-loop'));
    const order: string[] = [];
    const run = async (lane: 'online' | 'bulk', iterations: bigint): Promise<void> => {
      await pool.run({ ...slowRun(iterations, nowMs() + 15_000), lane });
      order.push(lane);
    };
    await run('bulk', 4000n);
    const bulk = [1, 2, 3].map(() => run('bulk', 4000n));
    const online = run('online', 1n);
    await Promise.all([...bulk, online]);
    expect(order).to.deep.equal(['bulk', 'bulk', 'online', 'bulk', 'bulk']);
  });

  it('leaves one of several hosts to predictions while they come', async () => {
    let clockMs = nowMs();
    const pool = await openPool({ hostCount: 2, nowMs: () => clockMs });
    await pool.load(fixtureSpec('slow-loop'));
    await everyHost('loaded');
    const bulkRun = () => pool.run({ ...slowRun(20_000n, clockMs + 15_000), lane: 'bulk' });
    const order: string[] = [];
    const runOnline = async (): Promise<void> => {
      await pool.run(slowRun(1n, clockMs + 15_000));
      order.push('online');
    };
    await runOnline();
    const bulk = [1, 2].map(() => bulkRun().then(() => order.push('bulk')));
    expect(pool.busyHostCount).to.equal(1);
    await runOnline();
    expect(pool.busyHostCount).to.equal(1);
    clockMs += 100;
    // Who comes next finds that no prediction came for a while.
    bulk.push(bulkRun().then(() => order.push('bulk')));
    expect(pool.busyHostCount).to.equal(2);
    await Promise.all(bulk);
    expect(order).to.deep.equal(['online', 'online', 'bulk', 'bulk', 'bulk']);
  });

  it('lets a bulk run be as long as any, though its deadline to begin has passed', async () => {
    const pool = await openPool({ hungGraceMs: 1 });
    await pool.load(fixtureSpec('slow-loop'));
    const run = { ...slowRun(20_000n, nowMs() + 100), lane: 'bulk' as const };
    expect(await pool.run(run)).to.have.property('kind', 'ran');
  });

  it('answers with the error of a failed run', async () => {
    const pool = await openPool();
    await pool.load(fixtureSpec('gather-strict'));
    const index = tensor('INT64', [2], [1n, 99n]);
    const outcome = await pool.run({
      ...nonceRun([]),
      key: 'gather-strict',
      tensors: new Map([['index', index]]),
    });
    expect(outcome).to.have.nested.property('error.code', 'invalid_input');
  });

  it('refuses a file that is not what its digest says', async () => {
    const pool = await openPool();
    const error: unknown = await pool
      .load(fixtureSpec('nonce', { digest: 'f'.repeat(64) }))
      .catch((e: unknown) => e);
    expect(error).to.have.property('code', 'bad_gateway');
    expect(pool.isResident('nonce')).to.equal(false);
  });

  it('gives a version up that ends its hosts while loading, and serves the others', async () => {
    const pool = await openPool();
    await pool.load(fixtureSpec('nonce'));
    const error: unknown = await pool.load(fixtureSpec('deep-functions')).catch((reason: unknown) => reason);
    expect(error).to.have.property('code', 'internal_error');
    expect(deaths(hostLog)).to.have.length(2);
    expect(valuesOf(await pool.run(nonceRun([5])))).to.deep.equal([16]);
  });

  it('unloads from every host, and loads again', async () => {
    const pool = await openPool({ hostCount: 2 });
    await pool.load(fixtureSpec('nonce'));
    await everyHost('loaded');
    await pool.load(fixtureSpec('sum-rows'));
    pool.unload('nonce');
    await everyHost('unloaded');
    await pool.load(fixtureSpec('nonce'));
    expect(valuesOf(await pool.run(nonceRun([2])))).to.deep.equal([7]);
  });

  it('loads again what was just unloaded before any host got to it', async () => {
    const pool = await openPool();
    await pool.load(fixtureSpec('nonce'));
    pool.unload('nonce');
    await pool.load(fixtureSpec('nonce'));
    expect(valuesOf(await pool.run(nonceRun([2])))).to.deep.equal([7]);
  });

  it('starts hosts again and again while they cannot start, and ends when told', async () => {
    const broken = openPoolWithoutHosts();
    await faultLog.next(({ message }) => message.includes('did not come up'));
    await broken.close(1000);
    expect(broken.servingHostCount).to.equal(0);
  });

  it('tells who still waits for a version when it is closed, and who comes later', async () => {
    const pool = openPoolWithoutHosts();
    const waiting = pool.load(fixtureSpec('nonce')).catch((error: unknown) => error);
    await pool.close(1000);
    expect(await waiting).to.have.property('code', 'service_unavailable');
    const late = pool.load(fixtureSpec('nonce')).catch((error: unknown) => error);
    expect(await late).to.have.property('code', 'service_unavailable');
  });

  it('leaves no process behind', async () => {
    const pool = await openPool({ hostCount: 2 });
    const { pids } = pool;
    await pool.close(1000);
    expect(pids.filter(isAlive)).to.deep.equal([]);
    expect(hostLog.events.filter(({ state }) => state === 'stopped').length).to.be.greaterThan(0);
  });
});

function deaths({ events }: EventLog<HostEvent>): readonly HostEvent[] {
  return events.filter(({ state }) => state === 'defunct');
}

function openPoolWithoutHosts(): HostPool {
  const pool = new HostPool({ ...poolDefaults, hostEntry: '/nonexistent/host.ts' });
  pool.start();
  return pool;
}
