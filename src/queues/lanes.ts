import { MillraceError } from '../errors.ts';
import type { Lane } from './job.ts';

/** Most lanes that one process opens: 32 pools of two lanes. A pool name comes from a manifest, so it is bounded. */
export const lanesOpenMax = 64;

/** Letters, digits, dot, dash, underscore: BullMQ refuses `:` in a queue name, `{}` would move the hash tag. */
const poolPattern = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;

/** Name of the BullMQ queue of a pool's lane, as in `default.online`. Throws `invalid_input` for a bad pool name. */
export function laneName(pool: string, lane: Lane): string {
  if (!poolPattern.test(pool))
    throw new MillraceError('invalid_input', 'The name of the pool is not valid', {
      details: [{ path: 'pool', expected: `a name like ${poolPattern.source}`, found: pool.slice(0, 80) }],
    });
  return `${pool}.${lane}`;
}

/** Names of everything that the queues keep in Redis. docs/protocol.md lists them with their lives. */
export interface RedisKeys {
  /** BullMQ's `prefix`: it keeps its own keys under `<bullmq>:<laneName>:`. */
  readonly bullmq: string;
  /** Packed tensors of a job that are too large to travel in it. */
  payload(jobId: string): string;
  /** Pub/sub channel of the results for one API process. */
  resultChannel(replyTo: string): string;
  /** Hash of job id → result frame: what that process has not acknowledged yet. */
  resultHash(replyTo: string): string;
  /** Tensors of a result that are too large for the frame. */
  resultTensors(replyTo: string, jobId: string): string;
  /** Result of one row that the API keeps under a canonical key. */
  cacheEntry(key: string): string;
  /** Cost curve of a version, as its workers measured it. */
  costCurve(servedDigest: string): string;
  /** Hash: who works on an idempotency key, and what came out. `entry` is a digest of principal and key. */
  idempotency(entry: string): string;
  /** Pub/sub channel of the entries that were answered or released. */
  readonly idempotencyChannel: string;
  /** List: attempts to call the webhook of a batch. */
  deliveries(batchId: string): string;
  /** Sorted set of worker ids by the time (Redis clock, ms) at which their heartbeat expires. */
  readonly workers: string;
  worker(workerId: string): string;
  /** Pub/sub channel of heartbeats and withdrawals. */
  readonly workerChannel: string;
  /** Root of all keys of batches; the scripts of batch/scripts/ make the rest (docs/protocol.md). */
  readonly batches: string;
  /** Pub/sub channel of a batch's changes: their revisions. */
  batchChannel(id: string): string;
  /** Sorted set of ended batches that are to be handed on, by the time of their end; and the channel that tells of one. */
  readonly batchEndings: string;
  /** Set of an owner's batches that have not ended. */
  openBatches(owner: string): string;
  /** Hash of pool → number of its batches that have not ended. */
  readonly batchPools: string;
  /** Hash of index → encoded ChunkInput, of chunks whose input lies in Redis. */
  batchInputs(id: string): string;
  /** Hash of index → encoded ChunkResult, likewise. */
  batchResults(id: string): string;
  /** Held by the process whose turn it is to sweep. */
  readonly batchSweep: string;
  /** Hash of a dead letter. */
  deadLetter(id: string): string;
}

/** The braces are a hash tag: in a cluster all keys of one installation share a slot, which BullMQ's Lua needs. */
export function createRedisKeys(prefix: string): RedisKeys {
  const tag = `{${prefix}}`;
  return {
    bullmq: tag,
    payload: (jobId) => `${tag}:payload:${jobId}`,
    resultChannel: (replyTo) => `${tag}:results:${replyTo}`,
    resultHash: (replyTo) => `${tag}:results:${replyTo}`,
    resultTensors: (replyTo, jobId) => `${tag}:results:${replyTo}:${jobId}`,
    cacheEntry: (key) => `${tag}:cache:${key}`,
    costCurve: (servedDigest) => `${tag}:curve:${servedDigest}`,
    idempotency: (entry) => `${tag}:idempotency:${entry}`,
    idempotencyChannel: `${tag}:idempotency`,
    deliveries: (batchId) => `${tag}:deliveries:${batchId}`,
    workers: `${tag}:workers`,
    worker: (workerId) => `${tag}:worker:${workerId}`,
    workerChannel: `${tag}:workers`,
    batches: `${tag}:batch`,
    batchChannel: (id) => `${tag}:batch:${id}`,
    batchEndings: `${tag}:batch:endings`,
    openBatches: (owner) => `${tag}:batch:open:${owner}`,
    batchPools: `${tag}:batch:pools`,
    batchInputs: (id) => `${tag}:batch:${id}:inputs`,
    batchResults: (id) => `${tag}:batch:${id}:results`,
    batchSweep: `${tag}:batch:sweep`,
    deadLetter: (id) => `${tag}:batch:letter:${id}`,
  };
}
