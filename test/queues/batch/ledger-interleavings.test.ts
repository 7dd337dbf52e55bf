import { expect } from 'chai';
import fc from 'fast-check';
import type { ChunkRef } from '../../../src/queues/batch/batch.ts';
import { isFinal } from '../../../src/queues/batch/batch.ts';
import { chunkName } from '../../../src/queues/batch/batch-fields.ts';
import { createChunkStore } from '../../../src/queues/batch/redis-chunk-store.ts';
import { closeConnections } from '../builders.ts';
import { chunkOf, makeLedgerRig, newBatch } from './support/ledger-rig.ts';
import type { LedgerRig } from './support/ledger-rig.ts';
import { expectSoundLedger } from './support/ledger-invariants.ts';
import { noArtifacts } from './support/no-artifacts.ts';

/**
 * Two workers take chunks off a lane that may hold a chunk more than once (a stall gave it to both), hold them for as
 * long as they like, and settle them or not. Meanwhile the upload goes on, the batch is paused, resumed or cancelled,
 * claims are lost between ledger and lane, and the sweeper puts back what is in no lane.
 */
const step = fc.oneof(
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('take' as const), worker: fc.nat(1) }) },
  {
    weight: 5,
    arbitrary: fc.record({
      kind: fc.constant('settle' as const),
      worker: fc.nat(1),
      which: fc.nat(),
      failed: fc.nat(3),
    }),
  },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('stall' as const), worker: fc.nat(1) }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('feed' as const), isLost: fc.boolean() }) },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constantFrom('sweep' as const, 'arrive' as const, 'pause' as const, 'resume' as const),
    }),
  },
);
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;
const rowCount = 3;

/** One batch, its lane and its workers. What a worker makes of a chunk names the worker: who was first is to be seen. */
class Run {
  readonly #rig: LedgerRig;
  readonly id: string;
  readonly #lane: ChunkRef[] = [];
  readonly #held: [ChunkRef[], ChunkRef[]] = [[], []];
  /** By chunk: what was answered `settled`. */
  readonly settled = new Map<number, { readonly bytes: string; readonly failed: number }>();
  arrived = 0;
  #tries = 0;

  constructor(rig: LedgerRig, id: string) {
    this.#rig = rig;
    this.id = id;
  }

  async arrive(): Promise<void> {
    const index = this.arrived;
    await this.#rig.ledger.addChunk(this.id, chunkOf(index, { firstRow: index * rowCount, rowCount }));
    this.arrived += 1;
  }

  async feed(isLost: boolean): Promise<void> {
    const refs = await this.#rig.ledger.claim('default', 2);
    if (!isLost) this.#lane.push(...refs);
  }

  async take(worker: number): Promise<void> {
    const ref = this.#lane.shift();
    if (ref === undefined) return;
    const work = await this.#rig.ledger.begin(ref);
    if (work.kind === 'run') this.#held[worker]?.push(ref);
    else expect(work.why).to.be.oneOf(['done', 'paused', 'final']);
  }

  /** Its lock is lost: somebody else gets the chunk as well. */
  stall(worker: number): void {
    const ref = this.#held[worker]?.[0];
    if (ref !== undefined) this.#lane.push(ref);
  }

  async settle(worker: number, which: number, failed: number): Promise<void> {
    const held = this.#held[worker] ?? [];
    const [ref] = held.splice(which % Math.max(1, held.length), 1);
    if (ref === undefined) return;
    const bytes = `${chunkName(ref)} by ${worker}, ${this.#tries++}`;
    const answer = await this.#rig.ledger.settle(ref, {
      result: { kind: 'redis', bytes: Buffer.from(bytes) },
      rowsSucceeded: rowCount - failed,
      rowsFailed: failed,
      rowsRetryable: failed,
    });
    if (answer === 'settled') {
      expect(this.settled.has(ref.index), 'settled twice').to.equal(false);
      this.settled.set(ref.index, { bytes, failed });
    } else expect(answer).to.equal(this.settled.has(ref.index) ? 'duplicate' : 'final');
  }

  async sweep(): Promise<void> {
    const lost = await this.#rig.ledger.lostChunks('default', -1, 100);
    const known = new Set([...this.#lane, ...this.#held.flat()].map(chunkName));
    this.#lane.push(...lost.filter((ref) => !known.has(chunkName(ref))));
    await this.#rig.ledger.reclaimed(lost);
  }

  async finish(): Promise<void> {
    const { ledger } = this.#rig;
    await ledger.resume(this.id);
    await ledger.seal(this.id, this.arrived * rowCount);
    while (!isFinal((await ledger.get(this.id))!.status)) {
      // oxlint-disable no-await-in-loop
      await this.sweep();
      await this.feed(false);
      await this.take(0);
      await this.settle(0, 0, 0);
      await this.settle(1, 0, 0);
      // oxlint-enable no-await-in-loop
    }
  }
}

describe('ledger, any interleaving of two workers', () => {
  let rig: LedgerRig;
  beforeEach(async () => {
    rig = await makeLedgerRig();
  });
  afterEach(closeConnections);

  const start = async (): Promise<Run> => {
    const batch = newBatch();
    await rig.ledger.create(batch);
    return new Run(rig, batch.id);
  };
  const play = async (run: Run, steps: readonly Step[]): Promise<void> => {
    for (const each of steps) {
      // oxlint-disable no-await-in-loop
      if (each.kind === 'take') await run.take(each.worker);
      else if (each.kind === 'settle') await run.settle(each.worker, each.which, each.failed);
      else if (each.kind === 'stall') run.stall(each.worker);
      else if (each.kind === 'feed') await run.feed(each.isLost);
      else if (each.kind === 'sweep') await run.sweep();
      else if (each.kind === 'arrive') await run.arrive();
      else await rig.ledger[each.kind](run.id);
      // oxlint-enable no-await-in-loop
    }
    await expectSoundLedger(rig);
  };
  /** What the ledger shows is what was answered `settled`, each once, in order. */
  const check = async (run: Run): Promise<void> => {
    const store = createChunkStore({ ...rig, artifacts: noArtifacts, redisBytesMax: 1e6 });
    const chunks = await rig.ledger.chunks(run.id, 0, 100);
    expect(chunks.map(({ firstRow }) => firstRow)).to.deep.equal(chunks.map((_, index) => index * rowCount));
    const shown = new Map<number, string | undefined>();
    for (const { index, result, rowsFailed } of chunks) {
      if (result === null) continue;
      // oxlint-disable-next-line no-await-in-loop
      const bytes = await store.readResult({ batchId: run.id, index }, result);
      shown.set(index, Buffer.from(bytes ?? []).toString());
      expect(rowsFailed).to.equal(run.settled.get(index)?.failed);
    }
    expect(shown).to.deep.equal(new Map([...run.settled].map(([index, { bytes }]) => [index, bytes])));
    const rowsFailed = [...run.settled.values()].reduce((sum, { failed }) => sum + failed, 0);
    expect(await rig.ledger.get(run.id)).to.include({
      chunksReceived: run.arrived,
      chunksDone: run.settled.size,
      rowsReceived: run.arrived * rowCount,
      rowsFailed,
      rowsRetryable: rowsFailed,
      rowsSucceeded: run.settled.size * rowCount - rowsFailed,
    });
    // Nothing of it is left in any line.
    expect(await rig.ledger.claim('default', 100)).to.deep.equal([]);
    expect(await rig.redis.keys(`${rig.keys.batches}:pool:default:[lcr]*`)).to.deep.equal([]);
  };

  it('gives every row one result, right counts and the right order', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 80 }), async (steps) => {
        const run = await start();
        await run.arrive();
        await run.arrive();
        await play(run, steps);
        await run.finish();
        expect(run.settled.size).to.equal(run.arrived);
        await check(run);
      }),
      { numRuns: 50 },
    );
  });

  it('keeps what was settled before a cancel, and nothing of what comes later', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(step, { maxLength: 40 }),
        fc.array(
          step.filter(({ kind }) => !['arrive', 'pause', 'resume'].includes(kind)),
          { maxLength: 40 },
        ),
        async (before, after) => {
          const run = await start();
          await run.arrive();
          await run.arrive();
          await run.feed(false);
          await play(run, before);
          const settledCount = run.settled.size;
          await rig.ledger.cancel(run.id);
          await play(run, after);
          expect(run.settled.size).to.equal(settledCount);
          await check(run);
        },
      ),
      { numRuns: 50 },
    );
  });
});
