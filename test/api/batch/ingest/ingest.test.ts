import { expect } from 'chai';
import { ChunkBuilder } from '../../../../src/api/batch/ingest/chunk-builder.ts';
import { ingest } from '../../../../src/api/batch/ingest/ingest.ts';
import type { Row, RowSource } from '../../../../src/api/batch/ingest/row.ts';
import { MillraceError } from '../../../../src/errors.ts';
import { wineVersion } from '../../../support/builders.ts';

const turnOver = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

const row: Row = { id: null, line: null, instance: [1, 2, 3, 4, 5], error: null };

function* rows(count: number): Generator<Row> {
  for (let n = 0; n < count; n++) yield row;
}

type Blocks = () => AsyncGenerator<Iterable<Row>>;

/** Row counts of the chunks, in their order. */
function start(
  blocks: Blocks,
  over: { rowsMax?: number; isFull?: () => boolean; room?: () => Promise<void> } = {},
) {
  const chunks: number[] = [];
  const held: number[] = [];
  const source: RowSource = { heldBytes: 7, blocks };
  const limits = { rowsMax: () => 100, bytesMax: 1 << 20 };
  const builder = new ChunkBuilder(wineVersion(), limits, ({ rowCount }) => chunks.push(rowCount));
  const writer = {
    get isFull() {
      return over.isFull?.() ?? false;
    },
    heldBytes: 5,
    room: over.room ?? (async () => undefined),
  };
  const done = ingest({
    source,
    builder,
    writer,
    rowsMax: over.rowsMax ?? 1_000_000,
    onHeld: (bytes) => held.push(bytes),
  });
  return { chunks, held, done };
}

describe('ingest', () => {
  it('makes chunks over the borders of blocks, and the last of what is left', async () => {
    const { chunks, held, done } = start(async function* () {
      yield rows(150);
      yield rows(0);
      yield rows(70);
    });
    await done;
    expect(chunks).to.deep.equal([100, 100, 20]);
    expect(held).to.deep.equal([7 + 5 + 50 * 20, 7 + 5 + 50 * 20, 7 + 5 + 20 * 20]);
  });

  it('gives out what there is when nothing comes for a while', async () => {
    const paused = Promise.withResolvers<void>();
    const { chunks, done } = start(async function* () {
      yield rows(30);
      await paused.promise;
      yield rows(1);
    });
    while (chunks.length === 0) await turnOver();
    expect(chunks).to.deep.equal([30]);
    paused.resolve();
    await done;
    expect(chunks).to.deep.equal([30, 1]);
  });

  it('takes no row while there is no room for chunks', async () => {
    const room = Promise.withResolvers<void>();
    let isFull = false;
    const { chunks, done } = start(
      async function* () {
        yield rows(1000);
      },
      {
        isFull: () => isFull || chunks.length === 1,
        room: () => room.promise,
      },
    );
    await turnOver();
    expect(chunks).to.deep.equal([100]);
    isFull = false;
    chunks.length = 0;
    room.resolve();
    await done;
    expect(chunks).to.have.length(9);
  });

  it('lets the event loop turn within a block, however long', async () => {
    let turns = 0;
    let over = false;
    const turning = (async () => {
      while (!over) {
        await turnOver();
        turns += 1;
      }
    })();
    const { done } = start(async function* () {
      yield rows(300_000);
    });
    await done;
    over = true;
    await turning;
    expect(turns).to.be.greaterThan(5);
  });

  it('refuses more rows than allowed, and uploads without any', async () => {
    const many = start(
      async function* () {
        yield rows(11);
      },
      { rowsMax: 10 },
    );
    expect(await many.done.catch((error: MillraceError) => error.code)).to.equal('payload_too_large');
    const none = start(async function* () {
      yield rows(0);
    });
    expect(await none.done.catch((error: MillraceError) => error.code)).to.equal('invalid_input');
  });

  it('throws what the source throws, and ends it when something else fails', async () => {
    const failure = new MillraceError('request_timeout');
    const broken = start(async function* () {
      yield rows(1);
      throw failure;
    });
    expect(await broken.done.catch((error: unknown) => error)).to.equal(failure);
    const ended = Promise.withResolvers<void>();
    const full = start(
      async function* () {
        try {
          yield rows(1);
          yield rows(1);
        } finally {
          ended.resolve();
        }
      },
      { isFull: () => true, room: () => Promise.reject(failure) },
    );
    expect(await full.done.catch((error: unknown) => error)).to.equal(failure);
    await ended.promise;
  });
});
