import type { DeadLetters } from '../queues/batch/batch-ledger.ts';
import type { CostCurves } from '../queues/batch/cost-curves.ts';
import type { MemoryGuard } from '../queues/memory-guard.ts';
import type { Resolver } from '../registry/resolver.ts';
import type { Admission } from './admission.ts';
import { BatchFeeds } from './batch/batch-feed.ts';
import { Batches } from './batch/batches.ts';
import { UploadMemory } from './batch/held-bytes.ts';
import { FactsOfBatches } from './batch/results/output-facts.ts';
import type { BatchParts } from './batch/start-batches.ts';
import { UploadQueue } from './batch/upload-queue.ts';
import { batchSubmitRoutes } from './http/batch-submit-routes.ts';
import type { BatchSubmitOptions } from './http/batch-submit-routes.ts';
import { batchSurfaceRoutes } from './http/batch-surface.ts';
import type { BatchSurfaceLimits } from './http/batch-surface.ts';
import { limitsRoutes } from './http/limits-routes.ts';
import { createPredictLater } from './http/predict-later.ts';
import type { BatchRoutes } from './http/routes.ts';
import { webhookRoutes } from './http/webhook-routes.ts';
import type { Idempotency } from './idempotency/idempotency.ts';
import type { LimitSettings } from './limits.ts';
import type { Webhooks } from './webhooks/start-webhooks.ts';

export interface JoinBatchesOptions {
  readonly parts: BatchParts;
  readonly letters: DeadLetters;
  readonly costs: Pick<CostCurves, 'rowsFor'>;
  readonly admission: Admission;
  readonly memory: Pick<MemoryGuard, 'admit'>;
  readonly resolver: Pick<Resolver, 'resolve'>;
  readonly idempotency: Pick<Idempotency, 'around'>;
  readonly webhooks: Webhooks;
  /** Of the shared clock. */
  readonly nowMs: () => number;
  /** Aborts when the process is told to stop. */
  readonly stopping: AbortSignal;
  readonly settings: JoinBatchesSettings;
}

export interface JoinBatchesSettings extends LimitSettings {
  readonly default_model: string;
  readonly batch: BatchRouteSettings & LimitSettings['batch'];
}

export interface BatchRouteSettings {
  readonly wait_ms: number;
  readonly wait_ms_max: number;
  readonly retention_ms: number;
  readonly rows_max: number;
  readonly bytes_max: number;
  readonly line_bytes_max: number;
  readonly json_held_bytes_max: number;
  readonly open_max: number;
  readonly chunk_rows_max: number;
  readonly chunk_bytes_max: number;
  readonly run_ms_target: number;
  readonly upload_idle_ms: number;
  readonly upload_bytes_per_s_min: number;
  readonly upload_lease_ms: number;
  readonly event_streams_max: number;
  readonly result_streams_max: number;
}

/** What all uploads of a process hold at once: as much as the bodies of predictions may. */
const heldBytesMax = 268_435_456;
/** Half of it, which is for one caller, is as many as it may have open batches by default. */
const uploadsWaitingMax = 20_000;
/** Clients give up after 30 seconds, many of them. */
const uploadWaitMsMax = 20_000;
/** A lease is renewed so often that two renewals in a row may fail. */
const renewalsPerLease = 3;
/** For those who wait for an answer nothing is read twice. */
const feedIntervalMs = 0;

/** All routes of batches, on what a process has started for them. */
export function joinBatches(options: JoinBatchesOptions): BatchRoutes {
  const { parts, webhooks, settings } = options;
  const { ledger } = parts;
  const submit = submitOptions(options);
  return {
    routes: [
      ...batchSubmitRoutes(submit),
      ...batchSurfaceRoutes({ ...options, ...parts, limits: surfaceLimits(settings.batch) }),
      ...webhookRoutes({ webhooks, ledger, now: Date.now }),
      ...limitsRoutes({ settings, ledger }),
    ],
    later: (bodyReader, parse) => createPredictLater({ ...submit, bodyReader, parse }),
  };
}

function submitOptions(options: JoinBatchesOptions): BatchSubmitOptions {
  const { parts, resolver, idempotency, nowMs, settings } = options;
  const { ledger, watcher } = parts;
  return {
    batches: batchesOf(options),
    ledger,
    watcher,
    idempotency,
    results: {
      ...parts,
      feeds: new BatchFeeds({ ledger, watcher, intervalMs: feedIntervalMs }),
      facts: new FactsOfBatches(resolver),
    },
    limits: uploadLimits(settings.batch),
    waitMs: settings.batch.wait_ms,
    waitMsMax: settings.batch.wait_ms_max,
    nowMs,
  };
}

function surfaceLimits(settings: JoinBatchesSettings['batch']): BatchSurfaceLimits {
  return {
    openMax: settings.open_max,
    retentionMs: settings.retention_ms,
    eventStreams: {
      countMax: settings.event_streams_max,
      perCallerMax: settings.event_streams_per_caller_max,
    },
    resultStreams: {
      countMax: settings.result_streams_max,
      perCallerMax: settings.result_streams_per_caller_max,
    },
  };
}

function batchesOf({ parts, settings: all, ...options }: JoinBatchesOptions): Batches {
  const { batch: settings, default_model: defaultModel } = all;
  return new Batches({
    defaultModel,
    ...options,
    ...parts,
    queue: new UploadQueue({
      admission: options.admission,
      waitingMax: uploadsWaitingMax,
      waitMsMax: uploadWaitMsMax,
    }),
    uploads: new UploadMemory(heldBytesMax),
    checkWebhook: (url) => options.webhooks.checkUrl(url),
    limits: {
      openMax: settings.open_max,
      rowsMax: settings.rows_max,
      chunkRowsMax: settings.chunk_rows_max,
      chunkBytesMax: settings.chunk_bytes_max,
      runMsTarget: settings.run_ms_target,
      retentionMs: settings.retention_ms,
      touchMs: Math.floor(settings.upload_lease_ms / renewalsPerLease),
    },
  });
}

function uploadLimits(settings: BatchRouteSettings): BatchSubmitOptions['limits'] {
  return {
    idleMs: settings.upload_idle_ms,
    bytesPerSMin: settings.upload_bytes_per_s_min,
    bytesMax: settings.bytes_max,
    lineBytesMax: settings.line_bytes_max,
    heldBytesMax: settings.json_held_bytes_max,
  };
}
