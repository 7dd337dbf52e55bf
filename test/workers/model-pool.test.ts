import { readFile, rm } from 'node:fs/promises';
import { expect } from 'chai';
import { channels } from '../../src/channels.ts';
import type { HostEvent } from '../../src/channels.ts';
import type { ModelVersion } from '../../src/registry/model-version.ts';
import { decodeTensors } from '../../src/tensors/binary-codec.ts';
import type { HostPool } from '../../src/workers/host-pool.ts';
import { ModelPool, sessionKey, warmupInputs } from '../../src/workers/model-pool.ts';
import { buildVersion, spec, tensor } from '../support/builders.ts';
import { collectEvents } from './support/collect-events.ts';
import type { EventLog } from './support/collect-events.ts';
import { openFixtureRegistry } from './support/fixture-registry.ts';
import type { FixtureRegistry } from './support/fixture-registry.ts';
import { closePools, fixturePath, nonceRun, openPool } from './support/hosts.ts';

describe('model pool', () => {
  let registry: FixtureRegistry;
  let nonce: ModelVersion;
  let sumRows: ModelVersion;
  let scalar: ModelVersion;
  let hosts: HostPool;
  let log: EventLog<HostEvent>;

  beforeEach(async () => {
    log = collectEvents(channels.host);
    registry = await openFixtureRegistry();
    nonce = await registry.register('nonce');
    sumRows = await registry.register('sum-rows');
    scalar = await registry.register('scalar');
    hosts = await openPool();
  });

  afterEach(async () => {
    log.stop();
    await closePools();
    await registry.close();
  });

  function openModels(loadedBytesMax = 1_000_000, loadTimeoutMs = 10_000): ModelPool {
    return new ModelPool({
      hosts,
      artifacts: registry.artifacts,
      loadedBytesMax,
      loadTimeoutMs,
      intraOpThreads: 1,
    });
  }

  const loadsOf = ({ model }: ModelVersion): number =>
    log.events.filter((event) => event.model === model && event.change === 'loaded').length;

  it('loads a version once for all who ask at the same time', async () => {
    const models = openModels();
    const leases = await Promise.all([models.acquire(nonce), models.acquire(nonce), models.acquire(nonce)]);
    expect(loadsOf(nonce)).to.equal(1);
    expect(models.loadedNames).to.deep.equal(['nonce/1']);
    for (const lease of leases) lease.release();
    const outcome = await hosts.run(nonceRun([1], { key: sessionKey(nonce) }));
    expect(outcome.kind).to.equal('ran');
  });

  it('unloads the least recently used version when the next does not fit beside it', async () => {
    const models = openModels(nonce.artifactBytes + sumRows.artifactBytes);
    (await models.acquire(nonce)).release();
    (await models.acquire(sumRows)).release();
    (await models.acquire(nonce)).release();
    (await models.acquire(scalar)).release();
    expect(models.loadedNames).to.have.members(['nonce/1', 'scalar/1']);
    await log.next(({ model, change }) => model === 'sum-rows' && change === 'unloaded');
  });

  it('passes the bound rather than unload a version in use, and comes back to it', async () => {
    const models = openModels(Math.max(nonce.artifactBytes, sumRows.artifactBytes));
    const inUse = await models.acquire(nonce);
    const next = await models.acquire(sumRows);
    expect(models.loadedNames).to.have.members(['nonce/1', 'sum-rows/1']);
    const outcome = await hosts.run(nonceRun([1], { key: inUse.key }));
    expect(outcome.kind).to.equal('ran');
    inUse.release();
    expect(models.loadedNames).to.deep.equal(['sum-rows/1']);
    next.release();
  });

  it('counts the bytes of every host', async () => {
    const two = await openPool({ hostCount: 2 });
    const { artifacts } = registry;
    const options = { hosts: two, artifacts, loadedBytesMax: nonce.artifactBytes, loadTimeoutMs: 10_000 };
    const models = new ModelPool({ ...options, intraOpThreads: 1 });
    expect(models.hasRoomFor(nonce)).to.equal(false);
    const error: unknown = await models.acquire(nonce).catch((reason: unknown) => reason);
    expect(error).to.have.property('code', 'service_unavailable');
  });

  it('reports a version whose file is gone as a fault of the storage, each time anew', async () => {
    const models = openModels();
    await rm(`${registry.home}/artifacts`, { recursive: true });
    for (let time = 0; time < 2; time += 1) {
      const error: unknown = await models.acquire(nonce).catch((reason: unknown) => reason);
      expect(error).to.have.property('code', 'bad_gateway');
      expect(models.loadedNames).to.deep.equal([]);
    }
  });

  it('does not sacrifice hosts to each request for a version that ends them', async () => {
    const models = openModels();
    const servedDigest = await registry.artifacts.put(await readFile(fixturePath('deep-functions')));
    const killer = { ...nonce, servedDigest };
    for (let time = 0; time < 3; time += 1) {
      const error: unknown = await models.acquire(killer).catch((reason: unknown) => reason);
      expect(error).to.have.property('code', 'internal_error');
    }
    expect(log.events.filter(({ state, change }) => state === 'defunct' && !change)).to.have.length(2);
    (await models.acquire(nonce)).release();
  });

  it('gives up on a load that takes too long', async () => {
    const models = openModels(1_000_000, 0);
    const error: unknown = await models.acquire(nonce).catch((reason: unknown) => reason);
    expect(error).to.have.property('code', 'service_unavailable');
    expect(models.holds(nonce)).to.equal(false);
  });

  it('warms up with zeros of each batch size that the manifest names', () => {
    const version = buildVersion({
      manifest: { warmup: { batch_sizes: [1, 4] } },
      inputs: [spec('a', 'FP16', [-1, 2]), spec('b', 'BYTES', [-1, -1])],
    });
    expect(warmupInputs(version).map(decodeTensors)).to.deep.equal(
      [1, 4].map(
        (size) =>
          new Map([
            [
              'a',
              tensor(
                'FP32',
                [size, 2],
                Array.from({ length: size * 2 }, () => 0),
              ),
            ],
            [
              'b',
              tensor(
                'BYTES',
                [size, 1],
                Array.from({ length: size }, () => ''),
              ),
            ],
          ]),
      ),
    );
  });

  it('runs the warm-up before a version counts as loaded', async () => {
    const warm = await registry.register('gather-strict', {
      version: 'warm',
      warmup: { batch_sizes: [1, 8] },
    });
    const models = openModels();
    await models.acquire(warm);
    const upToLoad = log.events.slice(
      0,
      log.events.findIndex(({ change }) => change === 'loaded'),
    );
    expect(upToLoad.filter(({ state }) => state === 'busy')).to.have.length(2);
  });
});
