import { expect } from 'chai';
import { channels } from '../../src/channels.ts';
import type { FaultEvent, HostEvent, RunEvent, VersionFaultEvent } from '../../src/channels.ts';
import { MillraceError } from '../../src/errors.ts';
import type { TakenJob } from '../../src/queues/job-queue.ts';
import { jobSchemaVersion } from '../../src/queues/job.ts';
import type { InferenceJob } from '../../src/queues/job.ts';
import type { ResultPublisher } from '../../src/queues/result-channel.ts';
import type { InferenceResult } from '../../src/queues/result.ts';
import type { ModelVersion } from '../../src/registry/model-version.ts';
import { encodeTensors } from '../../src/tensors/binary-codec.ts';
import type { NamedTensors } from '../../src/tensors/tensor.ts';
import { HostPool } from '../../src/workers/host-pool.ts';
import { ModelPool } from '../../src/workers/model-pool.ts';
import { Quarantine } from '../../src/workers/quarantine.ts';
import { VersionFaults } from '../../src/workers/version-faults.ts';
import { Worker } from '../../src/workers/worker.ts';
import { tensor } from '../support/builders.ts';
import { collectEvents } from './support/collect-events.ts';
import type { EventLog } from './support/collect-events.ts';
import { openFixtureRegistry } from './support/fixture-registry.ts';
import type { FixtureRegistry } from './support/fixture-registry.ts';
import { closePools, nowMs, openPool, poisonHost, poolDefaults } from './support/hosts.ts';
import { abortMarker, hangMarker } from './support/markers.ts';

const farMs = 15_000;

/** Entries of the given row counts, all of which may take their time unless `deadlines` says otherwise. */
function buildJob(
  version: Pick<ModelVersion, 'model' | 'version' | 'servedDigest'>,
  tensors: NamedTensors,
  rowCounts: readonly number[],
  deadlines: readonly number[] = [],
): InferenceJob {
  return {
    schemaVersion: jobSchemaVersion,
    id: '01JOB',
    model: version.model,
    version: version.version,
    servedDigest: version.servedDigest,
    pool: 'default',
    lane: 'online',
    replyTo: 'api-1',
    submittedAtMs: nowMs() - 5,
    entries: rowCounts.map((rowCount, index) => ({
      requestId: `r${index}`,
      rowCount,
      deadlineMs: deadlines[index] ?? nowMs() + farMs,
    })),
    outputs: null,
    payload: encodeTensors(tensors),
  };
}

function take(job: InferenceJob, changes: Partial<TakenJob> = {}): TakenJob {
  return { job, startCount: 1, signal: new AbortController().signal, ...changes };
}

const nonceRows = (...values: readonly number[]): NamedTensors =>
  new Map([['x', tensor('FP64', [values.length, 1], values)]]);

/** 0, 1, 2 and so on. */
function countingRows(shape: readonly number[]): NamedTensors {
  const elements = Array.from({ length: shape.reduce((a, b) => a * b) }, (_, index) => index);
  return new Map([['x', tensor('FP32', shape, elements)]]);
}

function openQuarantine(): Quarantine {
  return new Quarantine({
    openHosts: () => {
      const opened = new HostPool({
        ...poolDefaults,
        name: 'quarantine',
        hostEntry: poisonHost,
        runTimeoutMs: 5000,
      });
      opened.start();
      return opened;
    },
    idleMs: farMs,
    stopMs: 1000,
    nowMs,
  });
}

describe('worker', () => {
  let registry: FixtureRegistry;
  let hosts: HostPool;
  let runLog: EventLog<RunEvent>;
  let faultLog: EventLog<FaultEvent>;
  let hostLog: EventLog<HostEvent>;
  let versionFaultLog: EventLog<VersionFaultEvent>;
  let quarantine: Quarantine;
  let published: InferenceResult[];

  const publisher: ResultPublisher = {
    publish: async (_, result) => {
      published.push(result);
    },
  };

  beforeEach(async () => {
    runLog = collectEvents(channels.run);
    faultLog = collectEvents(channels.fault);
    hostLog = collectEvents(channels.host);
    versionFaultLog = collectEvents(channels.versionFault);
    quarantine = openQuarantine();
    published = [];
    registry = await openFixtureRegistry();
  });

  afterEach(async () => {
    runLog.stop();
    faultLog.stop();
    hostLog.stop();
    versionFaultLog.stop();
    await quarantine.close();
    await closePools();
    await registry.close();
  });

  function workerDefaults() {
    return {
      workerId: 'worker-1',
      quarantine,
      faults: new VersionFaults(nowMs),
      batchRowsMax: 64,
      nowMs,
    };
  }

  /** Pids of hosts that died by themselves, by the name of their pool. */
  function deathsIn(pool: 'host' | 'quarantine'): number {
    return hostLog.events.filter(({ hostId, state }) => hostId.startsWith(pool) && state === 'defunct')
      .length;
  }

  async function openWorker(hostEntry?: string): Promise<Worker> {
    hosts = await openPool(hostEntry === undefined ? {} : { hostEntry, runTimeoutMs: 300 });
    const { artifacts, versions } = registry;
    const limits = { loadedBytesMax: 1_000_000, loadTimeoutMs: farMs, intraOpThreads: 1 };
    const models = new ModelPool({ hosts, artifacts, ...limits });
    return new Worker({ ...workerDefaults(), hosts, models, versions, publisher });
  }

  /** The one result of a job, with its values of output `y`. */
  async function resultOf(
    worker: Worker,
    taken: TakenJob,
  ): Promise<InferenceResult & { y: readonly unknown[] }> {
    await worker.run(taken);
    expect(published).to.have.length(1);
    const [result] = published as [InferenceResult];
    return { ...result, y: Array.from<unknown>(result.tensors.get('y')?.data ?? []) };
  }

  it('answers every entry of a job with its own rows', async () => {
    const worker = await openWorker();
    const job = buildJob(await registry.register('nonce'), nonceRows(1, 2, 3), [1, 2]);
    const result = await resultOf(worker, take(job));
    expect(result.y).to.deep.equal([4, 7, 10]);
    expect(result).to.include({ id: '01JOB', workerId: 'worker-1', batchRows: 3 });
    expect(result.failures).to.deep.equal([]);
    expect(runLog.events).to.have.length(1);
    expect(runLog.events[0]).to.deep.include({
      outcome: 'succeeded',
      rows: 3,
      model: 'nonce',
      lane: 'online',
    });
    expect(result.timings.queueMs).to.be.at.least(5);
    expect(result.timings.runMs).to.be.greaterThan(0);
  });

  it('runs models of every kind of batch axis', async () => {
    const worker = await openWorker();
    const x = countingRows([5, 3]);
    for (const name of ['fixed-batch-1', 'fixed-batch-4']) {
      published = [];
      const { y } = await resultOf(worker, take(buildJob(await registry.register(name), x, [2, 3])));
      expect(y).to.deep.equal(Array.from({ length: 15 }, (_, index) => 2 * index));
    }
    published = [];
    const squares = countingRows([2, 4, 4]);
    const reduce = buildJob(await registry.register('no-batch-reduce'), squares, [1, 1]);
    expect((await resultOf(worker, take(reduce))).y).to.deep.equal([0, 15, 16, 31]);
  });

  it('drops what expired and answers the rest', async () => {
    const worker = await openWorker();
    const version = await registry.register('nonce');
    const job = buildJob(version, nonceRows(1, 2, 3), [1, 1, 1], [nowMs() + farMs, nowMs() - 1]);
    const result = await resultOf(worker, take(job));
    expect(result.y).to.deep.equal([4, 10]);
    expect(result.failures).to.deep.equal([
      {
        entryIndex: 1,
        reason: 'expired',
        error: { code: 'timeout', message: 'The deadline passed before the answer was ready' },
      },
    ]);
  });

  it('never takes inputs for results: a version that loads for too long leaves nothing but expired entries', async () => {
    // Hosts that were not started load for ever; a timer may fire before the clock shows the deadline.
    hosts = new HostPool(poolDefaults);
    const { artifacts, versions } = registry;
    const limits = { loadedBytesMax: 1_000_000, loadTimeoutMs: farMs, intraOpThreads: 1 };
    const models = new ModelPool({ hosts, artifacts, ...limits });
    const stillMs = nowMs();
    const worker = new Worker({
      ...workerDefaults(),
      hosts,
      models,
      versions,
      publisher,
      nowMs: () => stillMs,
    });
    const job = buildJob(await registry.register('nonce'), nonceRows(1), [1], [stillMs + 10]);
    const result = await resultOf(worker, take(job));
    expect(result.tensors.size).to.equal(0);
    expect(result.failures.map(({ reason }) => reason)).to.deep.equal(['expired']);
    await hosts.close(0);
  });

  it('runs nothing when everything expired', async () => {
    const worker = await openWorker();
    const job = buildJob(await registry.register('nonce'), nonceRows(1), [1], [nowMs() - 1]);
    const result = await resultOf(worker, take(job));
    expect(result.failures.map(({ reason }) => reason)).to.deep.equal(['expired']);
    expect(runLog.events[0]?.outcome).to.equal('expired');
    expect(result.timings.runMs).to.equal(0);
  });

  it('fails only the entry whose row the model refuses, and names the row', async () => {
    const worker = await openWorker();
    const version = await registry.register('gather-strict');
    const index = new Map([['index', tensor('INT64', [5], [1n, 2n, 99n, 3n, 4n])]]);
    await worker.run(take(buildJob(version, index, [1, 3, 1])));
    const [result] = published as [InferenceResult];
    expect(Array.from(result.tensors.get('value')?.data as Float32Array)).to.deep.equal([101, 104]);
    expect(result.failures).to.have.length(1);
    expect(result.failures[0]).to.deep.include({ entryIndex: 1, reason: 'failed' });
    expect(result.failures[0]?.error).to.have.property('code', 'invalid_input');
    expect(result.failures[0]?.error).to.have.nested.property('details[0].path', 'inputs[1]');
  });

  it('fails only the row that kills its host, and raises an alarm', async () => {
    const worker = await openWorker(poisonHost);
    const version = await registry.register('nonce');
    const job = buildJob(version, nonceRows(1, 2, abortMarker, 4), [1, 1, 1, 1]);
    const result = await resultOf(worker, take(job));
    expect(result.y).to.deep.equal([4, 7, 13]);
    expect(result.failures.map(({ entryIndex, error }) => [entryIndex, error.code])).to.deep.equal([
      [2, 'internal_error'],
    ]);
    await faultLog.next(({ message }) => message.includes('ends the host of nonce/1'));
    expect(runLog.events[0]?.outcome).to.equal('host_died');
    expect(versionFaultLog.events).to.deep.equal([{ model: 'nonce', version: '1', reason: 'host_died' }]);
  });

  it('kills one serving host with a killer; the rest dies apart', async () => {
    const worker = await openWorker(poisonHost);
    const version = await registry.register('nonce');
    const values = Array.from({ length: 64 }, (_, row) => (row === 37 ? abortMarker : row));
    const job = buildJob(
      version,
      nonceRows(...values),
      values.map(() => 1),
    );
    const result = await resultOf(worker, take(job));
    expect(result.y).to.deep.equal(values.toSpliced(37, 1).map((x) => 3 * x + 1));
    expect(result.failures.map(({ entryIndex }) => entryIndex)).to.deep.equal([37]);
    expect([deathsIn('host'), deathsIn('quarantine')]).to.deep.equal([1, 2]);
  });

  it('lets a version that kills again and again run apart only, until it has been good for a while', async () => {
    const worker = await openWorker(poisonHost);
    const version = await registry.register('nonce');
    const killer = async (): Promise<void> => {
      await worker.run(take(buildJob(version, nonceRows(abortMarker), [1])));
    };
    for (let time = 0; time < 5; time += 1) await killer();
    expect(published.map(({ failures }) => failures.length)).to.deep.equal([1, 1, 1, 1, 1]);
    expect([deathsIn('host'), deathsIn('quarantine')]).to.deep.equal([3, 5]);
    published = [];
    expect((await resultOf(worker, take(buildJob(version, nonceRows(2), [1])))).y).to.deep.equal([7]);
  });

  it('answers a lone row whose host died of something else, and flags nothing', async () => {
    const worker = await openWorker();
    const version = await registry.register('slow-loop');
    const iterations = new Map([['iterations', tensor('INT64', [1], [20_000n])]]);
    const running = resultOf(worker, take(buildJob(version, iterations, [1])));
    await hostLog.next(({ state }) => state === 'busy');
    await hostLog.next(({ change, model }) => change === 'loaded' && model === 'slow-loop');
    await hostLog.next(({ state }) => state === 'busy');
    for (const pid of hosts.pids) process.kill(pid, 'SIGKILL');
    expect((await running).y).to.deep.equal([20_000n]);
    expect(versionFaultLog.events).to.deep.equal([]);
  });

  it('fails a job whose run hangs, and goes on', async () => {
    const worker = await openWorker(poisonHost);
    const version = await registry.register('nonce');
    const result = await resultOf(worker, take(buildJob(version, nonceRows(1, hangMarker), [1, 1])));
    expect(result.failures.map(({ error }) => error.code)).to.deep.equal(['timeout', 'timeout']);
    expect(runLog.events[0]?.outcome).to.equal('host_hung');
    expect(versionFaultLog.events).to.deep.equal([{ model: 'nonce', version: '1', reason: 'host_hung' }]);
    published = [];
    expect((await resultOf(worker, take(buildJob(version, nonceRows(2), [1])))).y).to.deep.equal([7]);
  });

  it('runs a job apart when it is started for the third time', async () => {
    const worker = await openWorker(poisonHost);
    const version = await registry.register('nonce');
    const job = buildJob(version, nonceRows(1, abortMarker, 3), [1, 2]);
    const result = await resultOf(worker, take(job, { startCount: 3 }));
    expect(result.y).to.deep.equal([4]);
    expect([deathsIn('host'), deathsIn('quarantine')]).to.deep.equal([0, 2]);
  });

  it('keeps to the batch bounds of the manifest', async () => {
    const worker = await openWorker();
    const version = await registry.register('nonce', { batching: { max_batch_size: 2 } });
    const result = await resultOf(worker, take(buildJob(version, nonceRows(1, 2, 3, 4, 5), [5])));
    expect(result.y).to.deep.equal([4, 7, 10, 13, 16]);
    expect(result.batchRows).to.equal(2);
  });

  it('finds a version that was registered after the last look', async () => {
    const worker = await openWorker();
    const version = await registry.register('nonce');
    expect(() => registry.versions.resolve('nonce', version.version)).to.throw();
    expect((await resultOf(worker, take(buildJob(version, nonceRows(1), [1])))).y).to.deep.equal([4]);
  });

  for (const [what, change, code] of [
    ['does not know', { model: 'nobody' }, 'not_found'],
    ['knows as another file', { servedDigest: 'f'.repeat(64) }, 'conflict'],
  ] as const) {
    it(`refuses a version that it ${what}`, async () => {
      const worker = await openWorker();
      const version = { ...(await registry.register('nonce')), ...change };
      const result = await resultOf(worker, take(buildJob(version, nonceRows(1, 2), [1, 1])));
      expect(result.failures.map(({ reason, error }) => [reason, error.code])).to.deep.equal([
        ['failed', code],
        ['failed', code],
      ]);
    });
  }

  it('answers a payload that it cannot read', async () => {
    const worker = await openWorker();
    const version = await registry.register('nonce');
    const broken = { ...buildJob(version, nonceRows(1), [1]), payload: Uint8Array.of(1, 2, 3) };
    const result = await resultOf(worker, take(broken));
    expect(result.failures.map(({ error }) => error.code)).to.deep.equal(['internal_error']);
  });

  it('does not give rows to the wrong callers when a model loses some', async () => {
    const worker = await openWorker();
    const x = new Map([['x', tensor('FP32', [2, 3], [1, 2, 3, 4, 5, 6])]]);
    const result = await resultOf(
      worker,
      take(buildJob(await registry.register('wrong-rows-double'), x, [1, 1])),
    );
    expect(result.failures.map(({ error }) => error.code)).to.deep.equal([
      'internal_error',
      'internal_error',
    ]);
    expect(result.tensors.size).to.equal(0);
  });

  it('publishes nothing once the lock is lost', async () => {
    const worker = await openWorker();
    const lost = AbortSignal.abort();
    await worker.run(take(buildJob(await registry.register('nonce'), nonceRows(1), [1]), { signal: lost }));
    expect(published).to.deep.equal([]);
  });

  it('lets the job run again when its answer could not be published', async () => {
    await openWorker();
    const { artifacts, versions } = registry;
    const models = new ModelPool({
      hosts,
      artifacts,
      loadedBytesMax: 1_000_000,
      loadTimeoutMs: farMs,
      intraOpThreads: 1,
    });
    const deaf: ResultPublisher = {
      publish: () => Promise.reject(new MillraceError('service_unavailable')),
    };
    const worker = new Worker({ ...workerDefaults(), hosts, models, versions, publisher: deaf });
    const job = buildJob(await registry.register('nonce'), nonceRows(1), [1]);
    const error: unknown = await worker.run(take(job)).catch((reason: unknown) => reason);
    expect(error).to.have.property('code', 'service_unavailable');
  });
});
