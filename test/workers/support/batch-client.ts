import type { Redis } from 'ioredis';
import { ulid } from 'ulid';
import { until } from '../../../src/dev/readiness.ts';
import type { BatchRecord } from '../../../src/queues/batch/batch.ts';
import { BulkFeeder } from '../../../src/queues/batch/bulk-feeder.ts';
import { createBullmqBulkLane } from '../../../src/queues/batch/bullmq-bulk-lane.ts';
import { decodeChunkResult, encodeChunkInput } from '../../../src/queues/batch/chunk.ts';
import type { ChunkResult } from '../../../src/queues/batch/chunk.ts';
import { createRedisCostCurves } from '../../../src/queues/batch/cost-curves.ts';
import { createRedisBatchLedger } from '../../../src/queues/batch/redis-batch-ledger.ts';
import { createChunkStore } from '../../../src/queues/batch/redis-chunk-store.ts';
import { createRedisKeys } from '../../../src/queues/lanes.ts';
import { createRedis } from '../../../src/redis.ts';
import { openEmbeddedStores } from '../../../src/registry/embedded.ts';
import { rowCount } from '../../../src/tensors/batch.ts';
import type { NamedTensors } from '../../../src/tensors/tensor.ts';
import { nextEvent } from '../../queues/inbox.ts';

/** What an API process is to workers that run batches, through the same ports. */
export interface BatchClient {
  /** A sealed batch of these chunks. Its id. */
  submit(model: string, chunks: readonly NamedTensors[]): Promise<string>;
  /** Resolves once the batch has ended. */
  ended(id: string, signal: AbortSignal): Promise<BatchRecord>;
  /** Of all chunks, in order. */
  results(id: string): Promise<readonly ChunkResult[]>;
  cancel(id: string): Promise<BatchRecord>;
  /** What the workers found out about the version, once they have. */
  rowsFor(model: string, targetMs: number, signal: AbortSignal): Promise<number>;
  close(): Promise<void>;
}

export async function openBatchClient(system: {
  readonly home: string;
  readonly redisUrl: string;
  readonly redisPrefix: string;
}): Promise<BatchClient> {
  const keys = createRedisKeys(system.redisPrefix);
  const connect = async (role: 'command' | 'producer'): Promise<Redis> => {
    const client = createRedis(role, {
      url: system.redisUrl,
      connectTimeoutMs: 1000,
      commandTimeoutMs: 2000,
      retryDelayMsMax: 100,
      onError: () => {},
    });
    await nextEvent(client, 'ready');
    return client;
  };
  const [redis, producing] = await Promise.all([connect('command'), connect('producer')]);
  const stores = openEmbeddedStores(system.home);
  const ledger = createRedisBatchLedger({ redis, keys, uploadLeaseMs: 30_000 });
  const { artifacts } = stores;
  const store = createChunkStore({ redis, keys, artifacts, redisBytesMax: 1_000_000 });
  const lane = createBullmqBulkLane({ redis: producing, keys, eventsKeptMax: 10, attempts: 5 });
  const feeder = new BulkFeeder({ ledger, lane, window: 8 });
  const curves = createRedisCostCurves({ redis, keys });

  async function versionOf(model: string) {
    const version = (await stores.store.getModel(model))?.versions[0];
    if (version === undefined) throw new Error(`${model} is not registered`);
    return version;
  }

  return {
    submit: async (model, chunks) => {
      const { version, servedDigest } = await versionOf(model);
      const id = `batch_${ulid()}`;
      await ledger.create({
        id,
        owner: 'key:one',
        model,
        version,
        servedDigest,
        pool: 'default',
        render: { returnProbability: false, topK: null, outputs: null },
        webhook: null,
        retryOf: null,
        retentionMs: 60_000,
      });
      let firstRow = 0;
      for (const [index, tensors] of chunks.entries()) {
        const rows = { firstRow, rowCount: rowCount(tensors) };
        const input = { ...rows, ids: null, lines: null, refusals: [], tensors };
        const bytes = encodeChunkInput({ batchId: id, index }, input);
        await ledger.addChunk(id, { index, ...rows, refusedCount: 0, input: { kind: 'redis', bytes } });
        firstRow += rows.rowCount;
      }
      await ledger.seal(id, firstRow);
      feeder.feed('default');
      return id;
    },
    ended: async (id, signal) => {
      const isOver = async (): Promise<boolean> => ((await ledger.get(id))?.finishedAtMs ?? null) !== null;
      await until(isOver, signal);
      return (await ledger.get(id)) as BatchRecord;
    },
    results: async (id) => {
      const stored = await ledger.chunks(id, 0, 100);
      return Promise.all(
        stored.map(async ({ index, result }) => {
          const ref = { batchId: id, index };
          const bytes = result === null ? undefined : await store.readResult(ref, result);
          if (bytes === undefined) throw new Error(`chunk ${index} has no result`);
          return decodeChunkResult(ref, bytes);
        }),
      );
    },
    cancel: (id) => ledger.cancel(id),
    rowsFor: async (model, targetMs, signal) => {
      const { servedDigest } = await versionOf(model);
      await until(async () => (await curves.rowsFor(servedDigest, targetMs)) !== undefined, signal);
      return (await curves.rowsFor(servedDigest, targetMs)) as number;
    },
    close: async () => {
      await feeder.close();
      await lane.close();
      await stores.close();
      redis.disconnect();
      producing.disconnect();
    },
  };
}
