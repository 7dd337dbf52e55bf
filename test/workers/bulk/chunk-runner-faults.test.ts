import { expect } from 'chai';
import { channels } from '../../../src/channels.ts';
import type { ChunkEvent, FaultEvent, HostEvent } from '../../../src/channels.ts';
import { MillraceError } from '../../../src/errors.ts';
import {
  createBullmqBulkConsumer,
  createBullmqBulkLane,
} from '../../../src/queues/batch/bullmq-bulk-lane.ts';
import { rowCount } from '../../../src/tensors/batch.ts';
import { closeConnections, connect } from '../../queues/builders.ts';
import { rejectionOf } from '../../queues/inbox.ts';
import { encodeChunkInput } from '../../../src/queues/batch/chunk.ts';
import { redisUrl } from '../../support/services.ts';
import { collectEvents } from '../support/collect-events.ts';
import type { EventLog } from '../support/collect-events.ts';
import { openFixtureRegistry } from '../support/fixture-registry.ts';
import type { FixtureRegistry } from '../support/fixture-registry.ts';
import { closePools } from '../support/hosts.ts';
import { integers, openChunkRig, taken } from './support/chunk-rig.ts';
import type { ChunkRig } from './support/chunk-rig.ts';

describe('chunk runner, stopped or failing', () => {
  let registry: FixtureRegistry;
  let rig: ChunkRig;
  let chunkLog: EventLog<ChunkEvent>;
  let faultLog: EventLog<FaultEvent>;
  let hostLog: EventLog<HostEvent>;

  beforeEach(async () => {
    chunkLog = collectEvents(channels.chunk);
    faultLog = collectEvents(channels.fault);
    hostLog = collectEvents(channels.host);
    registry = await openFixtureRegistry();
  });
  afterEach(async () => {
    for (const log of [chunkLog, faultLog, hostLog]) log.stop();
    await rig.close();
    await closePools();
    await registry.close();
    closeConnections();
  });

  it('begins no run once the batch is cancelled, and settles nothing', async () => {
    rig = await openChunkRig(registry);
    const version = await registry.register('slow-loop', { batching: { max_batch_size: 1 } });
    // Minutes of runs, each of them some 60 ms.
    const ref = await rig.submit(version, { tensors: integers('iterations', 2000, () => 2000) });
    const running = rig.runner.run(taken(ref));
    await hostLog.next(({ state }) => state === 'busy');
    await rig.ledger.cancel(ref.batchId);
    await running;
    expect(chunkLog.events.map(({ outcome }) => outcome)).to.deep.equal(['unwanted']);
    expect(rig.hosts.busyHostCount).to.equal(0);
    expect(await rig.result(ref)).to.equal(undefined);
    expect(rig.letters).to.deep.equal([]);
  });

  it('drops a run that waits for a host when the batch is cancelled', async () => {
    rig = await openChunkRig(registry);
    const version = await registry.register('slow-loop', { batching: { max_batch_size: 1 } });
    const long = integers('iterations', 1, () => 60_000);
    const first = await rig.submit(version, { tensors: long });
    const second = await rig.submit(version, { tensors: long });
    const blocking = rig.runner.run(taken(first));
    await hostLog.next(({ state }) => state === 'busy');
    const asked = Promise.withResolvers<void>();
    const ledger = {
      ...rig.ledger,
      wanted: (id: string) => {
        asked.resolve();
        return rig.ledger.wanted(id);
      },
    };
    const waiting = rig.runnerWith({ ledger }).run(taken(second));
    await asked.promise;
    await rig.ledger.cancel(second.batchId);
    await waiting;
    expect(await rig.result(first)).to.equal(undefined);
    await blocking;
    expect(chunkLog.events.map(({ outcome }) => outcome)).to.deep.equal(['unwanted', 'settled']);
  });

  it('lets a chunk go whose input went with its batch', async () => {
    rig = await openChunkRig(registry);
    const version = await registry.register('gather-strict');
    const ref = await rig.submit(version, { tensors: integers('index', 3) });
    const chunks = {
      ...rig.chunks,
      readInput: async () => {
        await rig.ledger.cancel(ref.batchId);
        return undefined;
      },
    };
    await rig.runnerWith({ chunks }).run(taken(ref));
    expect(chunkLog.events.map(({ outcome }) => outcome)).to.deep.equal(['final']);
  });

  it('stops and settles nothing when the lock is lost', async () => {
    rig = await openChunkRig(registry);
    const version = await registry.register('slow-loop', { batching: { max_batch_size: 1 } });
    const ref = await rig.submit(version, { tensors: integers('iterations', 2000, () => 2000) });
    const lock = new AbortController();
    const running = rig.runner.run(taken(ref, { signal: lock.signal }));
    await hostLog.next(({ state }) => state === 'busy');
    lock.abort();
    await running;
    expect(await rig.result(ref)).to.equal(undefined);
    expect(chunkLog.events).to.deep.equal([]);
    await rig.ledger.cancel(ref.batchId);
  });

  it('does nothing for a chunk that is done, or whose batch has ended, is paused or unknown, but for the room it left', async () => {
    rig = await openChunkRig(registry);
    const version = await registry.register('gather-strict');
    const tensors = integers('index', 2);
    const paused = await rig.submit(version, { tensors });
    await rig.ledger.pause(paused.batchId);
    const cancelled = await rig.submit(version, { tensors });
    await rig.ledger.cancel(cancelled.batchId);
    for (const ref of [paused, cancelled, { batchId: 'batch_none', index: 0 }])
      await rig.runner.run(taken(ref));
    expect(rig.feedCount).to.equal(3);
    expect(chunkLog.events).to.deep.equal([]);
    expect(rig.hosts.busyHostCount).to.equal(0);
  });

  it('fails every row of a version that is gone, naming it, and writes no dead letters', async () => {
    rig = await openChunkRig(registry);
    const version = await registry.register('gather-strict');
    const gone = { ...version, version: 'v9' };
    const ref = await rig.submit(gone, { tensors: integers('index', 3), lines: { first: 1 } });
    await rig.runner.run(taken(ref));
    const result = await rig.result(ref);
    expect(
      result?.failures.map(({ error, retryable }) => [error.code, error.message, retryable]),
    ).to.deep.equal(
      [0, 1, 2].map((row) => [
        'not_found',
        `Row ${row} (line ${row + 1}): Version gather-strict/v9 is no longer registered`,
        false,
      ]),
    );
    expect(await rig.ledger.get(ref.batchId)).to.include({
      status: 'completed',
      rowsFailed: 3,
      rowsRetryable: 0,
    });
    expect(rig.letters).to.deep.equal([]);
  });

  it('fails a chunk whose rows do not add up, for its result could never be settled', async () => {
    rig = await openChunkRig(registry);
    const version = await registry.register('gather-strict');
    const ref = await rig.submit(version, { tensors: integers('index', 3) });
    const rows = { firstRow: 0, rowCount: 3, ids: null, lines: null, refusals: [] };
    const bytes = encodeChunkInput(ref, { ...rows, tensors: integers('index', 2) });
    const chunks = { ...rig.chunks, readInput: () => Promise.resolve(bytes) };
    await rig.runnerWith({ chunks }).run(taken(ref));
    expect((await rig.result(ref))?.failures).to.have.length(3);
  });

  describe('with faults that may pass', () => {
    const away = new MillraceError('service_unavailable', 'The hosts are not there');

    it('rejects until the last attempt, and then fails the rows, each as a dead letter', async () => {
      rig = await openChunkRig(registry);
      const version = await registry.register('gather-strict');
      const ref = await rig.submit(version, { tensors: integers('index', 3) });
      const { runner, hosts } = rig;
      await hosts.close(1000);
      expect(await rejectionOf(runner.run(taken(ref)))).to.have.property('code', 'service_unavailable');
      expect(await rig.result(ref)).to.equal(undefined);
      expect(rig.letters).to.deep.equal([]);
      await runner.run(taken(ref, { attempt: 5, isLastAttempt: true }));
      const result = await rig.result(ref);
      expect(result?.failures.map(({ error, retryable }) => [error.code, retryable])).to.deep.equal(
        [0, 1, 2].map(() => ['service_unavailable', true]),
      );
      expect(rig.letters.map(({ attempts }) => attempts)).to.deep.equal([5, 5, 5]);
      expect(chunkLog.events.map(({ outcome }) => outcome)).to.deep.equal(['retried', 'settled']);
    });

    it('gives each row a chance of its own in the last attempt', async () => {
      rig = await openChunkRig(registry);
      const version = await registry.register('gather-strict');
      const ref = await rig.submit(version, { tensors: integers('index', 8) });
      const { hosts } = rig;
      const run = hosts.run.bind(hosts);
      // Only single rows find a host.
      hosts.run = async (asked) =>
        rowCount(asked.tensors) > 1 ? { kind: 'failed', error: away } : run(asked);
      expect(await rejectionOf(rig.runner.run(taken(ref)))).to.equal(away);
      await rig.runner.run(taken(ref, { isLastAttempt: true }));
      expect(await rig.ledger.get(ref.batchId)).to.include({ rowsSucceeded: 8, rowsFailed: 0 });
    });

    it('comes again from the lane after each of its attempts, until it is settled', async () => {
      rig = await openChunkRig(registry);
      const version = await registry.register('gather-strict');
      const ref = await rig.submit(version, { tensors: integers('index', 3) });
      const { runner, hosts, keys } = rig;
      await hosts.close(1000);
      const producing = await connect('producer', redisUrl());
      const lane = createBullmqBulkLane({ redis: producing, keys, eventsKeptMax: 10, attempts: 3 });
      const consumer = createBullmqBulkConsumer({
        connection: await connect('blocking', redisUrl()),
        keys,
        pool: 'default',
        concurrency: 2,
        lockMs: 600,
        stalledIntervalMs: 300,
        backoffMs: 5,
        backoffMsMax: 10,
      });
      await consumer.start((chunk) => runner.run(chunk));
      await lane.add('default', [ref]);
      await chunkLog.next(({ outcome }) => outcome === 'settled');
      const attempts = chunkLog.events.map(({ attempt, outcome }) => [attempt, outcome]);
      expect(attempts).to.deep.equal([
        [1, 'retried'],
        [2, 'retried'],
        [3, 'settled'],
      ]);
      expect(await rig.ledger.get(ref.batchId)).to.include({ status: 'completed', rowsRetryable: 3 });
      expect(rig.letters.map(({ row, attempts: count }) => [row, count])).to.deep.equal([
        [0, 3],
        [1, 3],
        [2, 3],
      ]);
      expect(await consumer.drain(5000)).to.equal('drained');
      await consumer.close();
      await lane.close();
    });

    it('rejects when the registry cannot be read', async () => {
      rig = await openChunkRig(registry);
      const version = await registry.register('gather-strict');
      const ref = await rig.submit(version, { tensors: integers('index', 3) });
      const versions = {
        resolve: () => {
          throw new MillraceError('not_found');
        },
        refresh: () => Promise.reject(new Error('database is locked')),
      };
      const runner = rig.runnerWith({ versions });
      expect(await rejectionOf(runner.run(taken(ref)))).to.have.property('message', 'database is locked');
      expect(await rig.result(ref)).to.equal(undefined);
    });

    it('rejects when Redis is gone, also in the last attempt: the chunk must be looked at again', async () => {
      rig = await openChunkRig(registry);
      const version = await registry.register('slow-loop');
      const ref = await rig.submit(version, { tensors: integers('iterations', 1, () => 4000) });
      const running = rejectionOf(rig.runner.run(taken(ref, { isLastAttempt: true })));
      await hostLog.next(({ state }) => state === 'busy');
      rig.redis.disconnect();
      expect(await running).to.have.property('code', 'service_unavailable');
    });

    it('rejects when a dead letter cannot be written, before anything is settled', async () => {
      rig = await openChunkRig(registry);
      const version = await registry.register('gather-strict');
      const ref = await rig.submit(version, { tensors: integers('index', 1, () => 99) });
      const runner = rig.runnerWith({ deadLetters: { add: () => Promise.reject(away) } });
      expect(await rejectionOf(runner.run(taken(ref)))).to.equal(away);
      expect(await rig.result(ref)).to.equal(undefined);
      await rig.runner.run(taken(ref, { attempt: 2 }));
      expect((await rig.result(ref))?.failures).to.have.length(1);
    });

    it('rejects when the artifact store is out of reach, also in the last attempt: no row could be run again', async () => {
      rig = await openChunkRig(registry);
      const version = await registry.register('gather-strict');
      const ref = await rig.submit(version, { tensors: integers('index', 3) });
      const chunks = { ...rig.chunks, readInput: () => Promise.reject(away) };
      const runner = rig.runnerWith({ chunks });
      expect(await rejectionOf(runner.run(taken(ref, { isLastAttempt: true })))).to.equal(away);
      await rig.runner.run(taken(ref));
      expect(await rig.ledger.get(ref.batchId)).to.include({ status: 'completed', rowsSucceeded: 3 });
    });

    it('rejects while the input is gone, and fails the rows in the last attempt', async () => {
      rig = await openChunkRig(registry);
      const version = await registry.register('gather-strict');
      const ref = await rig.submit(version, { tensors: integers('index', 3) });
      const chunks = { ...rig.chunks, readInput: () => Promise.resolve(undefined) };
      const runner = rig.runnerWith({ chunks });
      expect(await rejectionOf(runner.run(taken(ref)))).to.have.property('code', 'bad_gateway');
      await runner.run(taken(ref, { isLastAttempt: true }));
      const result = await rig.result(ref);
      expect(result?.failures.map(({ error, retryable }) => [error.message, retryable])).to.deep.equal(
        [0, 1, 2].map((row) => [`Row ${row}: The input of the chunk is gone`, false]),
      );
    });
  });

  it('fails a chunk that cannot be read at once', async () => {
    rig = await openChunkRig(registry);
    const version = await registry.register('gather-strict');
    const ref = await rig.submit(version, { tensors: integers('index', 3) });
    const chunks = { ...rig.chunks, readInput: () => Promise.resolve(new Uint8Array(100)) };
    await rig.runnerWith({ chunks }).run(taken(ref));
    expect((await rig.result(ref))?.failures).to.have.length(3);
    expect(await rig.ledger.get(ref.batchId)).to.include({
      status: 'completed',
      rowsFailed: 3,
      rowsRetryable: 0,
    });
  });
});
