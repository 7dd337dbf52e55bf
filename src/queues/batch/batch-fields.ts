import type { ErrorRecord } from '../../errors.ts';
import type { BatchRecord, BatchStatus, ChunkRef, NewBatch } from './batch.ts';
import type { ChunkPlace, StoredChunk } from './batch-ledger.ts';

/** A batch as HGETALL gives it: names and values in turn (scripts/create.lua). */
export function recordOf(reply: unknown): BatchRecord {
  const flat = reply as readonly string[];
  const fields = new Map<string, string>();
  for (let at = 0; at + 1 < flat.length; at += 2) fields.set(flat[at] as string, flat[at + 1] as string);
  const text = (name: string): string => fields.get(name) ?? '';
  const count = (name: string): number => Number(text(name));
  const countOrNull = (name: string): number | null => (text(name) === '' ? null : count(name));
  return {
    ...(JSON.parse(text('batch')) as NewBatch),
    status: text('status') as BatchStatus,
    paused: text('paused') === '1',
    rowsTotal: countOrNull('rowsTotal'),
    rowsReceived: count('rowsReceived'),
    rowsSucceeded: count('rowsSucceeded'),
    rowsFailed: count('rowsFailed'),
    rowsRetryable: count('rowsRetryable'),
    chunksReceived: count('chunksReceived'),
    chunksDone: count('chunksDone'),
    createdAtMs: count('createdAtMs'),
    startedAtMs: countOrNull('startedAtMs'),
    finishedAtMs: countOrNull('finishedAtMs'),
    expiresAtMs: countOrNull('expiresAtMs'),
    failure: text('failure') === '' ? null : (JSON.parse(text('failure')) as ErrorRecord),
    revision: count('revision'),
  };
}

interface ChunkFields {
  readonly first: number;
  readonly rows: number;
  readonly input?: string;
  readonly result?: string;
  readonly failed?: number;
  readonly retryable?: number;
}

/** A chunk as scripts/add-chunk.lua and settle.lua write it. */
export function storedChunkOf(index: number, text: string): StoredChunk {
  const { first, rows, input, result, failed = 0, retryable = 0 } = JSON.parse(text) as ChunkFields;
  return {
    index,
    firstRow: first,
    rowCount: rows,
    input: input === undefined ? null : placeOf(input),
    result: result === undefined ? null : placeOf(result),
    rowsFailed: failed,
    rowsRetryable: retryable,
  };
}

export function placeOf(text: string): ChunkPlace {
  return text === 'redis' ? { kind: 'redis' } : { kind: 'artifact', digest: text };
}

/** `<batchId>.<index>`: how a chunk is called in lanes and scripts. */
export function chunkName({ batchId, index }: ChunkRef): string {
  return `${batchId}.${index}`;
}

export function chunkRefOf(name: string): ChunkRef {
  const dot = name.lastIndexOf('.');
  return { batchId: name.slice(0, dot), index: Number(name.slice(dot + 1)) };
}
