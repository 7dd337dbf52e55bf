import type { Redis } from 'ioredis';
import { MillraceError } from '../../errors.ts';
import type { ErrorRecord } from '../../errors.ts';
import type { RedisKeys } from '../lanes.ts';
import { redisUnavailable } from '../redis-failure.ts';
import { AofBarrier } from './aof-barrier.ts';
import { chunkName, chunkRefOf, placeOf, recordOf, storedChunkOf } from './batch-fields.ts';
import type { BatchRecord } from './batch.ts';
import type { BatchLedger, ChunkBytes, ChunkWork, Settled } from './batch-ledger.ts';
import { createLedgerScripts } from './ledger-scripts.ts';
import type { RunLedgerScript } from './ledger-scripts.ts';
import { tooManyOpen } from './open-batches.ts';

export interface RedisBatchLedgerOptions {
  /** A connection of role `command`; stays the caller's. */
  readonly redis: Redis;
  readonly keys: RedisKeys;
  /** What an upload may be silent for before its batch fails. */
  readonly uploadLeaseMs: number;
}

/** Most batches that one pass of the sweeper fails, or forgets, in one script. */
const sweptMax = 100;
/** Most batches of a page. */
const pageMax = 100;
/** Most chunks that are told of in one script: each is one call. */
const chunksMax = 1_000;

/**
 * BatchLedger as Lua in ./scripts/: each change is one script, so it happens whole or not at all, whoever else is at
 * work, and so it lies in the append-only file. The status has one setter (prelude.lua).
 */
export function createRedisBatchLedger(options: RedisBatchLedgerOptions): BatchLedger {
  const { redis, keys, uploadLeaseMs } = options;
  const run = createLedgerScripts({ redis, root: keys.batches, uploadLeaseMs });
  const barrier = new AofBarrier(redis);
  return {
    ...uploadCalls(run),
    durable: (acknowledged) => ensureDurable(barrier, run, acknowledged),
    ...readCalls(run),
    openCount: (owner) => direct(redis.scard(keys.openBatches(owner))),
    ...controlCalls(run),
    ...laneCalls(run, keys),
    pools: () => direct(redis.hkeys(keys.batchPools)),
    ...sweepCalls(run, uploadLeaseMs),
    ...workerCalls(run),
    endings: (limit) => direct(redis.zrange(keys.batchEndings, 0, String(limit - 1))),
    acknowledgeEnding: async (id) => void (await direct(redis.zrem(keys.batchEndings, id))),
  };
}

function uploadCalls(run: RunLedgerScript): Pick<BatchLedger, 'create' | 'addChunk' | 'touch' | 'seal'> {
  return {
    create: async (batch, openMax) => {
      const { id, owner, pool, retentionMs } = batch;
      const reply = await run('create', id, JSON.stringify(batch), owner, pool, retentionMs, openMax ?? '');
      if (openMax !== undefined && typeof reply === 'number') throw tooManyOpen(reply, openMax);
    },
    addChunk: async (id, chunk) => {
      const { index, firstRow, rowCount, refusedCount, input, settled } = chunk;
      const numbers = [index, firstRow, rowCount, refusedCount];
      const reply = await run('add-chunk', id, ...numbers, ...placed(input), ...placed(settled));
      if (open(present(reply)) === 'gap') throw rolledBack();
    },
    touch: async (id) => void open(present(await run('touch', id))),
    seal: async (id, rowsTotal) => {
      const reply = present(await run('seal', id, rowsTotal));
      if (reply === 'mismatch') throw rolledBack();
      return recordOf(reply);
    },
  };
}

/** In this order: what is found after the barrier was in the file, or else Redis came back with it from the file. */
async function ensureDurable(
  barrier: AofBarrier,
  run: RunLedgerScript,
  { id, revision, rowsTotal }: Pick<BatchRecord, 'id' | 'revision' | 'rowsTotal'>,
): Promise<void> {
  await barrier.written();
  const reply = await run('get', id);
  const found = reply === 'gone' ? undefined : recordOf(reply);
  // Work goes on after a rollback, and raises the revision again; but it seals nothing.
  if (
    found === undefined ||
    found.revision < revision ||
    (rowsTotal !== null && found.rowsTotal !== rowsTotal)
  )
    throw new MillraceError('service_unavailable', 'Redis came back without the batch', { retryAfterS: 1 });
}

function readCalls(
  run: RunLedgerScript,
): Pick<BatchLedger, 'get' | 'hasExpired' | 'list' | 'chunks' | 'chunkOfRow'> {
  return {
    get: async (id) => {
      const reply = await run('get', id);
      return reply === 'gone' ? undefined : recordOf(reply);
    },
    hasExpired: async (id) => (await run('has-expired', id)) === 1,
    list: async (owner, after, limit) => {
      const reply = await run('list', owner ?? '', after ?? '', Math.min(limit, pageMax));
      const [next, records] = reply as [string, unknown[]];
      return { batches: records.map(recordOf), next: next === '' ? null : next };
    },
    chunks: async (id, from, limit) => {
      const texts = present(await run('chunks', id, from, Math.min(limit, chunksMax))) as string[];
      return texts.map((text, offset) => storedChunkOf(from + offset, text));
    },
    chunkOfRow: async (id, row) => {
      const index = present(await run('chunk-of-row', id, row)) as number;
      return index === -1 ? undefined : index;
    },
  };
}

function controlCalls(run: RunLedgerScript): Pick<BatchLedger, 'cancel' | 'fail' | 'pause' | 'resume'> {
  const end = async (id: string, status: 'cancelled' | 'failed', failure: string): Promise<BatchRecord> =>
    recordOf(present(await run('end', id, status, failure)));
  const setPaused = async (id: string, paused: '1' | '0'): Promise<BatchRecord> =>
    recordOf(open(present(await run('pause', id, paused))));
  return {
    cancel: (id) => end(id, 'cancelled', ''),
    fail: (id, failure) => end(id, 'failed', JSON.stringify(failure)),
    pause: (id) => setPaused(id, '1'),
    resume: (id) => setPaused(id, '0'),
  };
}

function laneCalls(
  run: RunLedgerScript,
  keys: RedisKeys,
): Pick<BatchLedger, 'claim' | 'lostChunks' | 'reclaimed'> {
  return {
    claim: async (pool, window) =>
      ((await run('claim', pool, window, keys.workers)) as string[]).map(chunkRefOf),
    lostChunks: async (pool, olderThanMs, limit) =>
      ((await run('lost-chunks', pool, olderThanMs, limit)) as string[]).map(chunkRefOf),
    reclaimed: async (refs) => void (await run('reclaimed', ...refs.map(chunkName))),
  };
}

function sweepCalls(
  run: RunLedgerScript,
  uploadLeaseMs: number,
): Pick<BatchLedger, 'failAbandoned' | 'discard' | 'forgetExpired' | 'removed'> {
  const failures = [brokenOff(uploadLeaseMs), stoodStill].map((failure) => JSON.stringify(failure));
  return {
    failAbandoned: async () => (await run('fail-abandoned', ...failures, sweptMax)) as string[],
    discard: async (id) => void (await run('discard', id)),
    forgetExpired: async (limit) => {
      const [batchCount, batchId, digests] = (await run('forget-expired', limit)) as [
        number,
        string,
        string[],
      ];
      return { batchCount, garbage: digests.length === 0 ? null : { batchId, digests } };
    },
    removed: async (batchId, digests, stuck) =>
      void (
        digests.length > 0 && (await run('removed', batchId, digests.length, digests[0] as string, ...stuck))
      ),
  };
}

function workerCalls(run: RunLedgerScript): Pick<BatchLedger, 'begin' | 'wanted' | 'settle'> {
  return {
    begin: async ({ batchId, index }) => workOf(await run('begin', batchId, index)),
    wanted: async (id) => (await run('wanted', id)) === 1,
    settle: async ({ batchId, index }, outcome) => {
      const { result, rowsSucceeded, rowsFailed, rowsRetryable } = outcome;
      const counts = [rowsSucceeded, rowsFailed, rowsRetryable];
      const reply = await run('settle', batchId, index, ...placed(result), ...counts);
      if (reply === 'mismatch')
        throw mistake(`The rows of chunk ${index} do not add up: ${counts.join(', ')}`);
      return reply as Settled;
    },
  };
}

/** Where bytes are and, for Redis, they themselves: two arguments of a script. */
function placed(bytes: ChunkBytes | undefined): [place: string, bytes: Uint8Array | string] {
  if (bytes === undefined) return ['', ''];
  return bytes.kind === 'redis' ? ['redis', bytes.bytes] : [bytes.digest, ''];
}

function workOf(reply: unknown): ChunkWork {
  if (typeof reply === 'string')
    return { kind: 'nothing', why: reply as 'done' | 'gone' | 'final' | 'paused' };
  const [batch, input, rowCount, redisBytes] = reply as [unknown, string, number, number];
  return { kind: 'run', batch: recordOf(batch), input: placeOf(input), rowCount, redisBytes };
}

function present(reply: unknown): unknown {
  if (reply === 'gone') throw new MillraceError('not_found', 'No such batch');
  return reply;
}

function open(reply: unknown): unknown {
  if (reply === 'final') throw new MillraceError('conflict', 'The batch has ended');
  if (reply === 'sealed') throw new MillraceError('conflict', 'The upload of the batch is complete');
  return reply;
}

/** Who acknowledged what is missing now was killed before it was in its file. The upload has to be made again. */
function rolledBack(): MillraceError {
  return new MillraceError('service_unavailable', 'Redis came back without a part of the batch', {
    retryAfterS: 1,
  });
}

function mistake(message: string): MillraceError {
  return new MillraceError('internal_error', message);
}

async function direct<T>(reply: Promise<T>): Promise<T> {
  return reply.catch((error: unknown) => {
    throw redisUnavailable(error);
  });
}

function brokenOff(uploadLeaseMs: number): ErrorRecord {
  const message = `The upload broke off: nothing arrived for ${uploadLeaseMs / 1000} seconds`;
  return { code: 'request_timeout', message };
}

const stoodStill: ErrorRecord = { code: 'timeout', message: 'No rows of the batch got done for 7 days' };
