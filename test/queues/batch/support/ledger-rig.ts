import type { Redis } from 'ioredis';
import { ulid } from 'ulid';
import type { ChunkRef, NewBatch } from '../../../../src/queues/batch/batch.ts';
import type { ArrivedChunk, BatchLedger, ChunkOutcome } from '../../../../src/queues/batch/batch-ledger.ts';
import { createRedisBatchLedger } from '../../../../src/queues/batch/redis-batch-ledger.ts';
import { createRedisKeys } from '../../../../src/queues/lanes.ts';
import type { RedisKeys } from '../../../../src/queues/lanes.ts';
import { randomPrefix, redisUrl } from '../../../support/services.ts';
import { connect } from '../../builders.ts';

export interface LedgerRig {
  readonly redis: Redis;
  readonly keys: RedisKeys;
  readonly ledger: BatchLedger;
  /** A batch whose upload is open, with chunks of `rowsPerChunk` rows. */
  readonly upload: (chunkCount: number, over?: Partial<NewBatch>) => Promise<string>;
  /** The same, sealed. */
  readonly submit: (chunkCount: number, over?: Partial<NewBatch>) => Promise<string>;
}

export const rowsPerChunk = 10;
export const uploadLeaseMs = 30_000;

export async function makeLedgerRig(url = redisUrl(), leaseMs = uploadLeaseMs): Promise<LedgerRig> {
  const redis = await connect('command', url);
  const keys = createRedisKeys(randomPrefix());
  const ledger = createRedisBatchLedger({ redis, keys, uploadLeaseMs: leaseMs });
  const upload: LedgerRig['upload'] = async (chunkCount, over) => {
    const batch = newBatch(over);
    await ledger.create(batch);
    for (let index = 0; index < chunkCount; index++) {
      // oxlint-disable-next-line no-await-in-loop
      await ledger.addChunk(batch.id, chunkOf(index));
    }
    return batch.id;
  };
  return {
    redis,
    keys,
    ledger,
    upload,
    submit: async (chunkCount, over) => {
      const id = await upload(chunkCount, over);
      await ledger.seal(id, chunkCount * rowsPerChunk);
      return id;
    },
  };
}

export function newBatch(over: Partial<NewBatch> = {}): NewBatch {
  return {
    id: `batch_${ulid()}`,
    owner: 'key:one',
    model: 'wine',
    version: 'v1',
    servedDigest: 'd'.repeat(64),
    pool: 'default',
    render: { returnProbability: false, topK: null, outputs: null },
    webhook: null,
    retryOf: null,
    retentionMs: 60_000,
    ...over,
  };
}

export function chunkOf(index: number, over: Partial<ArrivedChunk> = {}): ArrivedChunk {
  return {
    index,
    firstRow: index * rowsPerChunk,
    rowCount: rowsPerChunk,
    refusedCount: 0,
    input: { kind: 'redis', bytes: Buffer.from(`input ${index}`) },
    ...over,
  };
}

export function outcomeOf(ref: ChunkRef, over: Partial<ChunkOutcome> = {}): ChunkOutcome {
  return {
    result: { kind: 'redis', bytes: Buffer.from(`result ${ref.index}`) },
    rowsSucceeded: rowsPerChunk,
    rowsFailed: 0,
    rowsRetryable: 0,
    ...over,
  };
}
