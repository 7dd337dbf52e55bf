import fc from 'fast-check';
import type { Row, RowSource } from '../../../../src/api/batch/ingest/row.ts';

/** Cut at these places (modulo the length), empty pieces among them; each piece in memory of its own. */
export function cut(bytes: Buffer, places: readonly number[]): Buffer[] {
  const ends = [...places.map((place) => place % (bytes.byteLength + 1)), bytes.byteLength];
  ends.sort((a, b) => a - b);
  return ends.map((end, index) => Buffer.from(bytes.subarray(index === 0 ? 0 : ends[index - 1], end)));
}

export const places = fc.array(fc.nat(), { maxLength: 40 });

export async function* stream(pieces: Iterable<Buffer>): AsyncGenerator<Buffer> {
  yield* pieces;
}

export async function rowsOf(source: RowSource): Promise<Row[]> {
  const rows: Row[] = [];
  for await (const block of source.blocks()) rows.push(...block);
  return rows;
}

/** A row in short: what refuses it, or its instance. */
export function brief({ id, line, instance, error }: Row): unknown[] {
  return [line, id, error === null ? instance : error.message];
}
