import { setTimeout as delay } from 'node:timers/promises';
import { MillraceError } from '../../../errors.ts';
import type { ChunkBuilder } from './chunk-builder.ts';
import type { ChunkWriter } from './chunk-writer.ts';
import { Pace } from './pace.ts';
import type { Row, RowSource } from './row.ts';

export interface IngestOptions {
  readonly source: RowSource;
  readonly builder: ChunkBuilder;
  /** Where the builder's chunks go. */
  readonly writer: Pick<ChunkWriter, 'isFull' | 'room' | 'heldBytes'>;
  readonly rowsMax: number;
  /** Told what the upload holds in memory; may throw. */
  readonly onHeld: (bytes: number) => void;
}

/** An upload that brings nothing for so long has what it brought worked on meanwhile. */
const pauseMs = 50;

/**
 * Rows of a source into chunks, to the end. It reads no faster than chunks are taken, and gives the event loop its
 * turns. Throws what the source throws, what writing throws, and `payload_too_large` beyond `rowsMax`.
 */
export async function ingest(options: IngestOptions): Promise<void> {
  const { source, builder, writer, onHeld } = options;
  const blocks = source.blocks()[Symbol.asyncIterator]();
  const pace = new Pace();
  try {
    for (;;) {
      const coming = blocks.next();
      // One block after the other: they are a stream.
      // oxlint-disable-next-line no-await-in-loop
      if (builder.rowCount > 0 && (await isPaused(coming))) builder.flush();
      // oxlint-disable-next-line no-await-in-loop
      const { done, value } = await coming;
      if (done === true) break;
      // Blocks may come one after the other without a turn of the event loop between them.
      // oxlint-disable-next-line no-await-in-loop
      if (pace.isOverdue()) await pace.rest();
      // oxlint-disable-next-line no-await-in-loop
      await takeBlock(value, options, pace);
      onHeld(source.heldBytes + builder.bytes + writer.heldBytes);
    }
  } catch (error) {
    // Not waited for: it ends with the upload, which may bring nothing any more.
    void blocks.return?.().catch(() => undefined);
    throw error;
  }
  builder.flush();
  if (builder.rowsTotal === 0) throw noRows();
}

async function takeBlock(
  rows: Iterable<Row>,
  { builder, writer, rowsMax }: IngestOptions,
  pace: Pace,
): Promise<void> {
  for (const row of rows) {
    if (builder.rowsTotal === rowsMax) throw tooManyRows(rowsMax);
    builder.add(row);
    // Before the next row is taken, and seldom: chunks are to be written, or the event loop is to have its turn.
    // oxlint-disable-next-line no-await-in-loop
    if (writer.isFull) await writer.room();
    // oxlint-disable-next-line no-await-in-loop
    if (pace.isDue()) await pace.rest();
  }
}

/** Whether nothing comes for a while. */
async function isPaused(coming: Promise<unknown>): Promise<boolean> {
  const timer = new AbortController();
  const { signal } = timer;
  const paused = await Promise.race([
    coming.then(
      () => false,
      () => false,
    ),
    delay(pauseMs, true, { signal }).catch(() => false),
  ]);
  timer.abort();
  return paused;
}

function noRows(): MillraceError {
  return new MillraceError('invalid_input', 'The body has no rows', {
    details: [{ path: '(root)', expected: 'at least one row', found: 'none' }],
  });
}

function tooManyRows(rowsMax: number): MillraceError {
  return new MillraceError('payload_too_large', 'The batch has too many rows', {
    details: [{ path: '(root)', expected: `at most ${rowsMax} rows`, found: 'more' }],
  });
}
