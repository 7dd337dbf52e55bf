import { expect } from 'chai';
import { channels } from '../../../src/channels.ts';
import type { FaultEvent } from '../../../src/channels.ts';
import type { CurvePoint } from '../../../src/queues/batch/cost-curve.ts';
import type { ModelVersion } from '../../../src/registry/model-version.ts';
import { CurveMeter } from '../../../src/workers/bulk/curve-meter.ts';
import type { CurveMeterOptions } from '../../../src/workers/bulk/curve-meter.ts';
import type { HostPool, PoolRun } from '../../../src/workers/host-pool.ts';
import { ModelPool } from '../../../src/workers/model-pool.ts';
import type { ModelPoolOptions } from '../../../src/workers/model-pool.ts';
import { rowCount } from '../../../src/tensors/batch.ts';
import { collectEvents } from '../support/collect-events.ts';
import { openFixtureRegistry } from '../support/fixture-registry.ts';
import type { FixtureRegistry } from '../support/fixture-registry.ts';
import { closePools, nowMs, openPool } from '../support/hosts.ts';

describe('curve meter', () => {
  let registry: FixtureRegistry;
  let hosts: HostPool;
  let runs: PoolRun[];
  let curves: Map<string, readonly CurvePoint[]>;
  let stopping: AbortController;

  beforeEach(async () => {
    registry = await openFixtureRegistry();
    hosts = await openPool();
    runs = [];
    curves = new Map();
    stopping = new AbortController();
    const run = hosts.run.bind(hosts);
    hosts.run = (asked) => {
      runs.push(asked);
      return run(asked);
    };
  });
  afterEach(async () => {
    await closePools();
    await registry.close();
  });

  function openModels(changes: Partial<ModelPoolOptions> = {}): ModelPool {
    const { artifacts } = registry;
    const loadedBytesMax = 10_000_000;
    return new ModelPool({
      hosts,
      artifacts,
      loadedBytesMax,
      loadTimeoutMs: 15_000,
      intraOpThreads: 1,
      ...changes,
    });
  }

  function openMeter(models: ModelPool, changes: Partial<CurveMeterOptions> = {}): CurveMeter {
    return new CurveMeter({
      hosts,
      models,
      costs: { measured: (digest, points) => void curves.set(digest, points) },
      runMsTarget: 25,
      runRowsMax: 4096,
      nowMs,
      stopping: stopping.signal,
      ...changes,
    });
  }

  async function load(models: ModelPool, version: ModelVersion): Promise<void> {
    const lease = await models.acquire(version);
    lease.release();
  }

  async function measure(version: ModelVersion, changes: Partial<CurveMeterOptions> = {}): Promise<void> {
    const models = openModels();
    await load(models, version);
    await openMeter(models, changes).measure(version);
  }

  const sizesOf = (points: readonly CurvePoint[] | undefined): readonly number[] =>
    (points ?? []).map(([rows]) => rows);

  it('measures a fast version at all sizes up to the greatest run, in the priority of bulk', async () => {
    const version = await registry.register('gather-strict');
    await measure(version, { runRowsMax: 300 });
    expect(sizesOf(curves.get(version.servedDigest))).to.deep.equal([1, 8, 64, 256, 300]);
    for (const [, ms] of curves.get(version.servedDigest) ?? []) expect(ms).to.be.greaterThan(0);
    expect(new Set(runs.map(({ lane }) => lane))).to.deep.equal(new Set(['bulk']));
  });

  it('keeps to the rows of the manifest, and to inputs of a sensible size', async () => {
    const bounded = await registry.register('gather-strict', { batching: { max_batch_size: 20 } });
    const wide = await registry.register('mlp-784-10');
    await Promise.all([measure(bounded, { runRowsMax: 65_536 }), measure(wide, { runRowsMax: 65_536 })]);
    expect(sizesOf(curves.get(bounded.servedDigest))).to.deep.equal([1, 8, 20]);
    expect(Math.max(...runs.map(({ tensors }) => rowCount(tensors)))).to.be.at.most(
      (8 * 1024 * 1024) / (784 * 4),
    );
  });

  it('measures the one size of a fixed batch axis, and takes it for a line', async () => {
    for (const [name, rows] of [
      ['fixed-batch-4', 4],
      ['no-batch-reduce', 1],
    ] as const) {
      const version = await registry.register(name);
      await measure(version);
      const [first, last] = curves.get(version.servedDigest) as [CurvePoint, CurvePoint];
      expect([first[0], last[0]]).to.deep.equal([rows, 4096]);
      expect(last[1] / first[1]).to.be.closeTo(4096 / rows, 0.001);
    }
  });

  it('ends where a run fails', async () => {
    const version = await registry.register('wrong-rows');
    // Its rows do not add up, but the host does not see that: the run itself is good.
    await measure(version, { runRowsMax: 8 });
    expect(sizesOf(curves.get(version.servedDigest))).to.deep.equal([1, 8]);
    hosts.run = () => Promise.resolve({ kind: 'host_died' });
    await measure(version);
    expect(curves.get(version.servedDigest)).to.deep.equal([]);
  });

  it('loads nothing to measure it: what was unloaded before its turn would unload another, in a circle', async () => {
    const first = await registry.register('gather-strict');
    const versions = [first, { ...first, version: '2' }, { ...first, version: '3' }];
    const gate = Promise.withResolvers<void>();
    const run = hosts.run.bind(hosts);
    hosts.run = (asked) => gate.promise.then(() => run(asked));
    const loaded: string[] = [];
    const measurements: Promise<void>[] = [];
    const models = openModels({
      loadedBytesMax: 2 * hosts.hostCount * first.artifactBytes,
      onLoaded: (version) => {
        loaded.push(version.version);
        measurements.push(meter.measure(version));
      },
    });
    const meter: CurveMeter = openMeter(models);
    // oxlint-disable-next-line no-await-in-loop
    for (const version of versions) await load(models, version);
    gate.resolve();
    await Promise.all(measurements);
    expect(loaded).to.deep.equal(['1', '2', '3']);
  });

  it('measures nothing once the process stops', async () => {
    const version = await registry.register('gather-strict');
    stopping.abort();
    await measure(version);
    expect(runs).to.deep.equal([]);
  });

  it('says so when a version cannot be loaded, and measures the next', async () => {
    const faults = collectEvents<FaultEvent>(channels.fault);
    const version = await registry.register('gather-strict');
    const missing = { ...version, servedDigest: 'f'.repeat(64), version: 'v2' };
    const models = openModels();
    const meter = openMeter(models, { runRowsMax: 8 });
    // While they are being loaded.
    const loads = Promise.allSettled([missing, version].map((each) => load(models, each)));
    await Promise.all([meter.measure(missing), meter.measure(version)]);
    await loads;
    faults.stop();
    expect(faults.events.map(({ component }) => component)).to.include('curve-meter');
    expect(sizesOf(curves.get(version.servedDigest))).to.deep.equal([1, 8]);
  });
});
