import type { Redis } from 'ioredis';
import type { Lifecycle } from '../../lifecycle.ts';
import type { BatchLedger, BatchWatcher, BulkLane, ChunkStore } from '../../queues/batch/batch-ledger.ts';
import { BatchSweeper } from '../../queues/batch/batch-sweeper.ts';
import { BulkFeeder } from '../../queues/batch/bulk-feeder.ts';
import { createBullmqBulkLane } from '../../queues/batch/bullmq-bulk-lane.ts';
import { createRedisBatchLedger } from '../../queues/batch/redis-batch-ledger.ts';
import { createRedisBatchWatcher } from '../../queues/batch/redis-batch-watcher.ts';
import { createChunkStore } from '../../queues/batch/redis-chunk-store.ts';
import type { RedisKeys } from '../../queues/lanes.ts';
import type { ArtifactStore } from '../../registry/artifact-store.ts';

export interface BatchConnections {
  /** Of roles `command`, `producer` and `subscriber`; they stay the caller's. */
  readonly redis: Redis;
  readonly producing: Redis;
  readonly subscriber: Redis;
  readonly keys: RedisKeys;
  readonly artifacts: ArtifactStore;
}

export interface BatchQueueSettings {
  readonly upload_lease_ms: number;
  readonly redis_bytes_max: number;
  readonly window_chunks: number;
  readonly sweep_ms: number;
  readonly attempts: number;
}

/** What a process needs to make batches and to follow them. */
export interface BatchParts {
  readonly ledger: BatchLedger;
  readonly store: ChunkStore;
  readonly watcher: BatchWatcher;
  readonly lane: BulkLane;
  readonly feed: (pool: string) => void;
}

/** BullMQ's stream of events, which nobody reads. */
const eventsKeptMax = 100;

/** Does not wait for Redis: until it is there, calls throw `service_unavailable`. */
export async function startBatches(
  lifecycle: Pick<Lifecycle, 'start'>,
  { redis, producing, subscriber, keys, artifacts }: BatchConnections,
  settings: BatchQueueSettings,
): Promise<BatchParts> {
  const ledger = createRedisBatchLedger({ redis, keys, uploadLeaseMs: settings.upload_lease_ms });
  const store = createChunkStore({ redis, keys, artifacts, redisBytesMax: settings.redis_bytes_max });
  const watcher = await lifecycle.start(
    'batch watcher',
    () => createRedisBatchWatcher({ subscriber, keys }),
    (each) => each.close(),
  );
  const lane = await lifecycle.start(
    'bulk lane',
    () => createBullmqBulkLane({ redis: producing, keys, eventsKeptMax, attempts: settings.attempts }),
    (each) => each.close(),
  );
  const feeder = await lifecycle.start(
    'bulk feeder',
    () => new BulkFeeder({ ledger, lane, window: settings.window_chunks }),
    (each) => each.close(),
  );
  await lifecycle.start(
    'batch sweeper',
    () => {
      const { sweep_ms: sweepMs } = settings;
      const sweeper = new BatchSweeper({ ledger, lane, feeder, chunks: store, redis, keys, sweepMs });
      sweeper.start();
      return sweeper;
    },
    (each) => each.stop(),
  );
  return { ledger, store, watcher, lane, feed: (pool) => feeder.feed(pool) };
}
