import type { BatchLedger, BatchWatcher, ChunkStore, DeadLetters } from '../../queues/batch/batch-ledger.ts';
import type { MemoryGuard } from '../../queues/memory-guard.ts';
import type { Resolver } from '../../registry/resolver.ts';
import { BatchFeeds } from '../batch/batch-feed.ts';
import { BatchRetry } from '../batch/batch-retry.ts';
import { DeadLetterReplay } from '../batch/dead-letter-replay.ts';
import { PackedBatches } from '../batch/packed-batches.ts';
import { FactsOfBatches } from '../batch/results/output-facts.ts';
import type { Idempotency } from '../idempotency/idempotency.ts';
import { resultPagesAtOnce } from '../limits.ts';
import { StreamPermits } from '../stream-permits.ts';
import type { StreamLimits } from '../stream-permits.ts';
import { batchResultsRoutes } from './batch-results-routes.ts';
import { batchRetryRoutes } from './batch-retry-routes.ts';
import { batchRoutes } from './batch-routes.ts';
import { deadLetterRoutes } from './dead-letter-routes.ts';
import type { Route } from './route-table.ts';

export interface BatchSurfaceOptions {
  readonly ledger: BatchLedger;
  readonly store: ChunkStore;
  readonly watcher: BatchWatcher;
  readonly letters: DeadLetters;
  readonly idempotency: Pick<Idempotency, 'around'>;
  readonly resolver: Pick<Resolver, 'resolve'>;
  readonly memory: Pick<MemoryGuard, 'admit'>;
  /** There are chunks for the lane of this pool, or there is room in it. */
  readonly feed: (pool: string) => void;
  /** Of the shared clock. */
  readonly nowMs: () => number;
  /** Aborts when the process is told to stop. */
  readonly stopping: AbortSignal;
  readonly limits: BatchSurfaceLimits;
}

export interface BatchSurfaceLimits {
  /** Batches of one owner that have not ended. */
  readonly openMax: number;
  /** Of batches that replayed dead letters make. */
  readonly retentionMs: number;
  readonly eventStreams: StreamLimits;
  readonly resultStreams: StreamLimits;
}

/** A person who watches cannot tell more, and a thousand streams then cost four thousand small writes a second. */
const feedIntervalMs = 250;

/** Everything about batches but how one comes to be. */
export function batchSurfaceRoutes(options: BatchSurfaceOptions): readonly Route[] {
  const { ledger, store, watcher, letters, resolver, limits } = options;
  const { openMax, retentionMs } = limits;
  const packed = new PackedBatches(options);
  const feeds = new BatchFeeds({ ledger, watcher, intervalMs: feedIntervalMs });
  return [
    ...batchRoutes(options),
    ...batchRetryRoutes({ ...options, retry: new BatchRetry({ ledger, store, packed, openMax }) }),
    ...batchResultsRoutes({
      ...options,
      feeds,
      facts: new FactsOfBatches(resolver),
      resultStreams: new StreamPermits('results', limits.resultStreams),
      resultPages: new StreamPermits('pages', resultPagesAtOnce),
      eventStreams: new StreamPermits('events', limits.eventStreams),
    }),
    ...deadLetterRoutes({ ...options, replay: new DeadLetterReplay({ letters, packed, retentionMs }) }),
  ];
}
