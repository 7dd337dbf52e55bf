import { MillraceError } from '../../errors.ts';
import type { ErrorRecord } from '../../errors.ts';
import { decodeTensors, encodeTensors } from '../../tensors/binary-codec.ts';
import type { NamedTensors } from '../../tensors/tensor.ts';
import type { ChunkRef } from './batch.ts';

/** What the caller calls its rows and where they stand. */
export interface ChunkRows {
  /** Of the batch, of this chunk's first row, from 0. */
  readonly firstRow: number;
  /** All rows, also those that were refused. */
  readonly rowCount: number;
  /** The caller's own ids, one a row; null where it gave none at all. */
  readonly ids: readonly (string | null)[] | null;
  /** Line of each row in the upload, from 1; null for a body that has no lines. */
  readonly lines: LineNumbers | null;
}

/** `{ first: 8 }` when each row stands on the line after the one before, else all of them. */
export type LineNumbers = { readonly first: number } | { readonly each: readonly number[] };

/** A row without a result. `row` counts within the chunk, from 0; ascending. */
export interface RowFailure {
  readonly row: number;
  readonly error: ErrorRecord;
  /** Whether the row reached a run, so that running it again can make sense: its input is then kept. */
  readonly retryable: boolean;
}

/** What the API makes of an upload. `tensors` hold the rows that were not refused, in order; none when all were. */
export interface ChunkInput extends ChunkRows {
  readonly refusals: readonly RowFailure[];
  readonly tensors: NamedTensors;
}

/** What a worker makes of it. `tensors` hold the results (after post-processing) of the rows that did not fail, in order. */
export interface ChunkResult extends ChunkRows {
  /** The refusals, too. */
  readonly failures: readonly RowFailure[];
  readonly tensors: NamedTensors;
}

/*
 * Format 1: u32 length of the head, head (JSON), zeros up to a multiple of 8, tensors (tensors/binary-codec.ts).
 * The head names batch and chunk, so that no two chunks are the same bytes: the artifact store, which goes by digest,
 * can remove one without a look at the others.
 */
type Head = readonly [
  format: 1,
  batchId: string,
  index: number,
  firstRow: number,
  rowCount: number,
  ids: ChunkRows['ids'],
  lines: LineNumbers | null,
  failures: readonly (readonly [row: number, error: ErrorRecord, retryable: 0 | 1])[],
];

export function encodeChunkInput(address: ChunkRef, chunk: ChunkInput): Buffer {
  return encode(address, chunk, chunk.refusals, chunk.tensors);
}

export function encodeChunkResult(address: ChunkRef, chunk: ChunkResult): Buffer {
  return encode(address, chunk, chunk.failures, chunk.tensors);
}

/** Throws `internal_error` for anything that `encodeChunkInput` did not make for this address. */
export function decodeChunkInput(address: ChunkRef, bytes: Uint8Array): ChunkInput {
  const { rows, failures, tensors } = decode(address, bytes);
  return { ...rows, refusals: failures, tensors };
}

/** Throws `internal_error` for anything that `encodeChunkResult` did not make for this address. */
export function decodeChunkResult(address: ChunkRef, bytes: Uint8Array): ChunkResult {
  const { rows, failures, tensors } = decode(address, bytes);
  return { ...rows, failures, tensors };
}

/** Line of a row of the chunk, from 1. */
export function lineOf({ lines }: ChunkRows, row: number): number | null {
  if (lines === null) return null;
  return 'first' in lines ? lines.first + row : (lines.each[row] ?? null);
}

const lengthBytes = 4;

function encode(
  { batchId, index }: ChunkRef,
  rows: ChunkRows,
  failures: readonly RowFailure[],
  tensors: NamedTensors,
): Buffer {
  const head: Head = [
    1,
    batchId,
    index,
    rows.firstRow,
    rows.rowCount,
    rows.ids,
    rows.lines,
    failures.map(({ row, error, retryable }) => [row, error, retryable ? 1 : 0] as const),
  ];
  const text = JSON.stringify(head);
  const headBytes = Buffer.byteLength(text);
  const room = (lengthBytes + headBytes + 7) & ~7;
  const bytes = encodeTensors(tensors, room);
  bytes.fill(0, 0, room);
  bytes.writeUInt32LE(headBytes, 0);
  bytes.write(text, lengthBytes);
  return bytes;
}

function decode(
  address: ChunkRef,
  bytes: Uint8Array,
): {
  readonly rows: ChunkRows;
  readonly failures: readonly RowFailure[];
  readonly tensors: NamedTensors;
} {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (buffer.length < lengthBytes) throw malformed('is shorter than its length');
  const headBytes = buffer.readUInt32LE(0);
  const room = (lengthBytes + headBytes + 7) & ~7;
  if (room > buffer.length) throw malformed('ends within its head');
  const head = parseHead(buffer.toString('utf8', lengthBytes, lengthBytes + headBytes));
  const [, batchId, index, firstRow, rowCount, ids, lines, failures] = head;
  if (batchId !== address.batchId || index !== address.index) throw malformed('belongs elsewhere');
  return {
    rows: { firstRow, rowCount, ids, lines },
    failures: failures.map(([row, error, retryable]) => ({ row, error, retryable: retryable === 1 })),
    tensors: decodeTensors(buffer.subarray(room)),
  };
}

function parseHead(text: string): Head {
  let head: unknown;
  try {
    head = JSON.parse(text);
  } catch {
    throw malformed('has a head that is not JSON');
  }
  if (!Array.isArray(head) || head[0] !== 1 || head.length !== 8) throw malformed('is of an unknown format');
  return head as unknown as Head;
}

function malformed(what: string): MillraceError {
  return new MillraceError('internal_error', `A stored chunk ${what}`);
}
