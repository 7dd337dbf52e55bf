import { expect } from 'chai';
import { channels } from '../../../src/channels.ts';
import type { ChunkEvent, FaultEvent, HostEvent } from '../../../src/channels.ts';
import { decodeTensors } from '../../../src/tensors/binary-codec.ts';
import { closeConnections } from '../../queues/builders.ts';
import { tensor } from '../../support/builders.ts';
import { collectEvents } from '../support/collect-events.ts';
import type { EventLog } from '../support/collect-events.ts';
import { openFixtureRegistry } from '../support/fixture-registry.ts';
import type { FixtureRegistry } from '../support/fixture-registry.ts';
import { closePools, poisonHost } from '../support/hosts.ts';
import { integers, openChunkRig, taken, valuesOf } from './support/chunk-rig.ts';
import type { ChunkRig } from './support/chunk-rig.ts';

describe('chunk runner', () => {
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

  it('settles a chunk with the results of its rows, in order, and makes room in the lane', async () => {
    rig = await openChunkRig(registry, { hostCount: 2 });
    const version = await registry.register('gather-strict');
    const tensors = integers('index', 200, (row) => row % 10);
    const ref = await rig.submit(version, { tensors, firstRow: 0, ids: null });
    await rig.runner.run(taken(ref));
    const result = await rig.result(ref);
    expect(valuesOf(result, 'value')).to.deep.equal(
      Array.from({ length: 200 }, (_, row) => 100 + (row % 10)),
    );
    expect(result?.failures).to.deep.equal([]);
    expect(await rig.ledger.get(ref.batchId)).to.include({
      status: 'completed',
      rowsSucceeded: 200,
      rowsFailed: 0,
    });
    expect(rig.feedCount).to.equal(1);
    expect(rig.runner.inHandCount).to.equal(0);
    expect(chunkLog.events).to.have.length(1);
    expect(chunkLog.events[0]).to.include({
      outcome: 'settled',
      rowsSucceeded: 200,
      rowsFailed: 0,
      attempt: 1,
    });
    expect(chunkLog.events[0]?.runMs).to.be.greaterThan(0);
  });

  it('runs models of every kind of batch axis', async () => {
    rig = await openChunkRig(registry);
    const x = new Map([
      [
        'x',
        tensor(
          'FP32',
          [6, 3],
          Array.from({ length: 18 }, (_, index) => index),
        ),
      ],
    ]);
    const twice = Array.from({ length: 18 }, (_, index) => 2 * index);
    for (const name of ['fixed-batch-1', 'fixed-batch-4']) {
      const ref = await rig.submit(await registry.register(name), { tensors: x });
      await rig.runner.run(taken(ref));
      expect(valuesOf(await rig.result(ref), 'y')).to.deep.equal(twice);
    }
    const squares = new Map([
      [
        'x',
        tensor(
          'FP32',
          [3, 4, 4],
          Array.from({ length: 48 }, (_, index) => index),
        ),
      ],
    ]);
    const ref = await rig.submit(await registry.register('no-batch-reduce'), { tensors: squares });
    await rig.runner.run(taken(ref));
    expect(valuesOf(await rig.result(ref), 'y')).to.deep.equal([0, 15, 16, 31, 32, 47]);
  });

  it('fails the row that the model refuses, names row and line, and keeps it as a dead letter', async () => {
    rig = await openChunkRig(registry);
    const version = await registry.register('gather-strict');
    const ids = Array.from({ length: 64 }, (_, row) => `id-${row}`);
    const tensors = integers('index', 64, (row) => (row === 37 ? 99 : row % 10));
    const ref = await rig.submit(version, { tensors, ids, lines: { first: 2 } });
    await rig.runner.run(taken(ref, { attempt: 2 }));
    const result = await rig.result(ref);
    expect(result?.failures.map(({ row }) => row)).to.deep.equal([37]);
    const [failure] = result?.failures ?? [];
    expect(failure?.retryable).to.equal(true);
    expect(failure?.error.code).to.equal('invalid_input');
    expect(failure?.error.message).to.match(/^Row 37 \(line 39\): /);
    expect(failure?.error).to.have.nested.property('details[0].path', 'inputs[37]');
    expect(valuesOf(result, 'value')).to.have.length(63);
    expect(await rig.ledger.get(ref.batchId)).to.include({
      rowsSucceeded: 63,
      rowsFailed: 1,
      rowsRetryable: 1,
    });
    const [letter] = rig.letters;
    expect(rig.letters).to.have.length(1);
    expect(letter).to.include({ id: `${ref.batchId}.37`, row: 37, rowId: 'id-37', line: 39, attempts: 2 });
    expect(letter).to.include({ model: 'gather-strict', owner: 'key:one', pool: 'default' });
    expect(letter?.inputDigest).to.match(/^[0-9a-f]{64}$/);
    const input = decodeTensors(letter?.input as Uint8Array).get('index');
    expect(Array.from<unknown>(input?.data ?? [])).to.deep.equal([99n]);
  });

  it('keeps what was refused at the door where it was, and counts rows past it', async () => {
    rig = await openChunkRig(registry);
    const version = await registry.register('gather-strict');
    const refused = { code: 'invalid_input', message: 'no number' } as const;
    const refusals = [1, 3].map((row) => ({ row, error: refused, retryable: false }));
    // Rows 0, 2 and 4 of the chunk: the last is bad.
    const tensors = integers('index', 3, (place) => (place === 2 ? 99 : place));
    const ref = await rig.submit(version, { tensors, refusals, lines: { each: [10, 20, 30, 40, 50] } });
    await rig.runner.run(taken(ref));
    const result = await rig.result(ref);
    expect(result?.failures.map(({ row, retryable }) => [row, retryable])).to.deep.equal([
      [1, false],
      [3, false],
      [4, true],
    ]);
    expect(result?.failures[2]?.error.message).to.match(/^Row 4 \(line 50\): /);
    expect(valuesOf(result, 'value')).to.deep.equal([100, 101]);
    expect(rig.letters.map(({ row, line }) => [row, line])).to.deep.equal([[4, 50]]);
    expect(await rig.ledger.get(ref.batchId)).to.include({
      rowsSucceeded: 2,
      rowsFailed: 3,
      rowsRetryable: 1,
    });
  });

  it('settles a chunk of which every row fails', async () => {
    rig = await openChunkRig(registry);
    const ref = await rig.submit(await registry.register('gather-strict'), {
      tensors: integers('index', 40, () => 99),
    });
    await rig.runner.run(taken(ref));
    const result = await rig.result(ref);
    expect(result?.failures.map(({ row }) => row)).to.deep.equal(Array.from({ length: 40 }, (_, row) => row));
    expect(result?.tensors.size).to.equal(0);
    expect(rig.letters).to.have.length(40);
  });

  it('fails only the killer among 64 rows, at the cost of one serving host', async function () {
    if (process.arch !== 'x64') this.skip();
    rig = await openChunkRig(registry);
    const version = await registry.register('crash-on-six');
    const ref = await rig.submit(version, {
      tensors: integers('x', 64, (row) => (row === 41 ? 6 : 100 + row)),
    });
    await rig.runner.run(taken(ref));
    const result = await rig.result(ref);
    expect(result?.failures.map(({ row, error }) => [row, error.code, error.message])).to.deep.equal([
      [41, 'internal_error', 'Row 41: The model ended its process on this input'],
    ]);
    expect(valuesOf(result, 'y')).to.deep.equal(
      Array.from({ length: 64 }, (_, row) => BigInt(3 * (100 + row) + 1)).filter((_, row) => row !== 41),
    );
    const deaths = hostLog.events.filter(({ state }) => state === 'defunct').map(({ hostId }) => hostId);
    expect(deaths.filter((hostId) => hostId.startsWith('host'))).to.have.length(1);
    expect(rig.letters.map(({ row }) => row)).to.deep.equal([41]);
  });

  it('loses no row when a host is killed in the middle of a chunk', async () => {
    rig = await openChunkRig(registry);
    const version = await registry.register('slow-loop');
    const ref = await rig.submit(version, { tensors: integers('iterations', 8, (row) => 2000 + row) });
    const running = rig.runner.run(taken(ref));
    await hostLog.next(({ state }) => state === 'busy');
    process.kill(rig.hosts.pids[0] as number, 'SIGKILL');
    await running;
    const result = await rig.result(ref);
    expect(valuesOf(result, 'y')).to.deep.equal(Array.from({ length: 8 }, (_, row) => BigInt(2000 + row)));
    expect(result?.failures).to.deep.equal([]);
  });

  it('finds the row that hangs, and lets its neighbours have their results', async () => {
    rig = await openChunkRig(registry, { hostEntry: poisonHost, runTimeoutMs: 300 });
    const version = await registry.register('nonce');
    const values = Array.from({ length: 16 }, (_, row) => (row === 5 ? -777 : row));
    const ref = await rig.submit(version, { tensors: new Map([['x', tensor('FP64', [16, 1], values)]]) });
    await rig.runner.run(taken(ref));
    const result = await rig.result(ref);
    expect(result?.failures.map(({ row, error }) => [row, error.code])).to.deep.equal([[5, 'timeout']]);
    expect(valuesOf(result, 'y')).to.deep.equal(
      values.filter((_, row) => row !== 5).map((value) => 3 * value + 1),
    );
  });

  it('does not give rows to the wrong places when a model loses some', async () => {
    rig = await openChunkRig(registry);
    const version = await registry.register('wrong-rows-on-negative');
    const elements = Array.from({ length: 30 }, (_, index) => (index === 14 ? -1 : index));
    const ref = await rig.submit(version, { tensors: new Map([['x', tensor('FP32', [10, 3], elements)]]) });
    await rig.runner.run(taken(ref));
    const result = await rig.result(ref);
    // Alone even the row that makes the model lose rows has its own back.
    expect(valuesOf(result, 'y')).to.deep.equal(elements);
    expect(result?.failures).to.deep.equal([]);
  });

  it('gives one result whatever runs twice', async () => {
    rig = await openChunkRig(registry, { hostCount: 2 });
    const version = await registry.register('gather-strict');
    const ref = await rig.submit(version, { tensors: integers('index', 50, (row) => row % 10) });
    const other = rig.runnerWith({});
    await Promise.all([rig.runner.run(taken(ref)), other.run(taken(ref, { startCount: 2 }))]);
    await other.run(taken(ref));
    const outcomes = chunkLog.events.map(({ outcome }) => outcome).toSorted();
    expect(outcomes).to.deep.equal(['duplicate', 'settled']);
    expect(await rig.ledger.get(ref.batchId)).to.include({
      status: 'completed',
      rowsSucceeded: 50,
      chunksDone: 1,
    });
  });

  it('runs a chunk apart when it is started for the third time', async () => {
    rig = await openChunkRig(registry);
    const version = await registry.register('gather-strict');
    const ref = await rig.submit(version, { tensors: integers('index', 3) });
    await rig.runner.run(taken(ref, { startCount: 3 }));
    expect((await rig.result(ref))?.failures).to.deep.equal([]);
    const busy = hostLog.events
      .filter(({ state }) => state === 'busy')
      .map(({ hostId }) => hostId.split('-')[0]);
    expect(new Set(busy)).to.deep.equal(new Set(['host', 'quarantine']));
  });

  it('gives up a chunk that was started again and again, and keeps its rows', async () => {
    rig = await openChunkRig(registry, { hostCount: 1 });
    const version = await registry.register('gather-strict');
    const ref = await rig.submit(version, { tensors: integers('index', 3, () => 1) });
    await rig.runner.run(taken(ref, { startCount: 21 }));
    expect(await rig.ledger.get(ref.batchId)).to.include({
      status: 'completed',
      rowsFailed: 3,
      rowsRetryable: 3,
    });
    expect(rig.letters).to.have.length(3);
  });

  it('makes runs as large as the version is fast', async () => {
    rig = await openChunkRig(registry);
    const runner = rig.runnerWith({ runRowsMax: 4096, runMsTarget: 10_000 });
    const version = await registry.register('gather-strict');
    const sizes: number[] = [];
    const { hosts } = rig;
    const run = hosts.run.bind(hosts);
    hosts.run = (asked) => {
      sizes.push(asked.tensors.get('index')?.shape[0] ?? 0);
      return run(asked);
    };
    const ref = await rig.submit(version, { tensors: integers('index', 20_000, (row) => row % 10) });
    await runner.run(taken(ref));
    expect(sizes.slice(0, 4)).to.deep.equal([8, 32, 128, 509]);
    expect(sizes.reduce((sum, size) => sum + size)).to.equal(20_000);
    expect(Math.max(...sizes)).to.be.within(2000, 4096);
  });

  it('keeps to the rows and the bytes of the manifest', async () => {
    rig = await openChunkRig(registry);
    const sizes: number[] = [];
    const { hosts } = rig;
    const run = hosts.run.bind(hosts);
    hosts.run = (asked) => {
      sizes.push(asked.tensors.get('index')?.shape[0] ?? 0);
      return run(asked);
    };
    const version = await registry.register('gather-strict', { batching: { max_batch_size: 7 } });
    const ref = await rig.submit(version, { tensors: integers('index', 21, (row) => row % 10) });
    await rig.runner.run(taken(ref));
    expect(sizes.reduce((sum, size) => sum + size)).to.equal(21);
    expect(Math.max(...sizes)).to.equal(7);
  });
});
