import { expect } from 'chai';
import { startRedis } from '../support/redis-server.ts';
import { closeConnections } from '../queues/builders.ts';
import { expectSoundLedger } from '../queues/batch/support/ledger-invariants.ts';
import {
  chunkOf,
  makeLedgerRig,
  newBatch,
  outcomeOf,
  rowsPerChunk,
} from '../queues/batch/support/ledger-rig.ts';
import type { LedgerRig } from '../queues/batch/support/ledger-rig.ts';
import { untilTrue } from '../queues/batch/support/until.ts';
import { keepDiskBusy } from './support/busy-disk.ts';
import { lasting, sized } from './support/schedule.ts';

const rounds = sized(3, 40);
const submitterCount = 8;
const chunkCount = 3;

/** Submits batches one after the other until it is told to stop; errors are those of a Redis that was killed. */
async function submitUntil(stop: AbortSignal, { ledger }: LedgerRig, durable: string[]): Promise<void> {
  while (!stop.aborted) {
    const batch = newBatch({ owner: `owner-${durable.length % 5}` });
    // oxlint-disable no-await-in-loop
    try {
      await ledger.create(batch);
      for (let index = 0; index < chunkCount; index++) await ledger.addChunk(batch.id, chunkOf(index));
      await ledger.durable(await ledger.seal(batch.id, chunkCount * rowsPerChunk));
      durable.push(batch.id);
    } catch {
      await lasting(5);
    }
    // oxlint-enable no-await-in-loop
  }
}

async function workUntil(stop: AbortSignal, { ledger }: LedgerRig): Promise<void> {
  const rare = [(id: string) => ledger.pause(id), (id: string) => ledger.cancel(id)];
  while (!stop.aborted)
    try {
      // oxlint-disable-next-line no-await-in-loop
      for (const ref of await ledger.claim('default', 4)) {
        // oxlint-disable no-await-in-loop
        await ledger.begin(ref);
        if (ref.index !== 1) await ledger.settle(ref, outcomeOf(ref));
        else await rare[Math.floor(Math.random() * 10)]?.(ref.batchId);
        // oxlint-enable no-await-in-loop
      }
    } catch {
      // oxlint-disable-next-line no-await-in-loop
      await lasting(5);
    }
}

describe('Redis is killed while batches are submitted on a busy disk', () => {
  afterEach(closeConnections);

  it(`loses none of what was called durable, in ${rounds} rounds, and no ledger is at odds with itself`, async function () {
    this.timeout(rounds * 20_000);
    const server = await startRedis(['--auto-aof-rewrite-min-size', '200kb']);
    const disk = await keepDiskBusy();
    let durableCount = 0;
    // oxlint-disable no-await-in-loop
    for (let round = 0; round < rounds; round++) {
      const rig = await makeLedgerRig(server.url);
      const stop = new AbortController();
      const durable: string[] = [];
      const submitters = Array.from({ length: submitterCount }, () => submitUntil(stop.signal, rig, durable));
      const worker = workUntil(stop.signal, rig);
      await lasting(500 + 1500 * Math.random());
      await server.kill();
      stop.abort();
      await Promise.all([...submitters, worker]);
      await server.restart();
      await untilTrue(async () => (await rig.redis.ping()) === 'PONG');
      const records = await Promise.all(durable.map((id) => rig.ledger.get(id)));
      const lost = durable.filter((_, place) => records[place]?.rowsTotal !== chunkCount * rowsPerChunk);
      expect(lost).to.deep.equal([]);
      await expectSoundLedger(rig);
      durableCount += durable.length;
      await rig.redis.flushall();
    }
    // oxlint-enable no-await-in-loop
    process.stderr.write(`        ${durableCount} batches\n`);
    expect(durableCount).to.be.greaterThan(0);
    await disk.stop();
    await server.stop();
  });
});
