import { channels } from '../../channels.ts';
import type { FaultEvent } from '../../channels.ts';
import { toErrorRecord } from '../../errors.ts';
import type { ErrorRecord, MillraceError } from '../../errors.ts';
import { checkOutputs } from '../../processing/result-outputs.ts';
import type { BatchRecord, NewBatch } from '../../queues/batch/batch.ts';
import type { BatchLedger, ChunkStore } from '../../queues/batch/batch-ledger.ts';
import type { CostCurves } from '../../queues/batch/cost-curves.ts';
import { checkOpenBatches } from '../../queues/batch/open-batches.ts';
import type { MemoryGuard } from '../../queues/memory-guard.ts';
import { poolOf } from '../../registry/manifest.ts';
import type { ModelVersion } from '../../registry/model-version.ts';
import type { Resolver } from '../../registry/resolver.ts';
import type { Permit } from '../admission.ts';
import { chosenVersion } from '../chosen-version.ts';
import { renderOf } from './batch-parameters.ts';
import type { BatchHead } from './batch-parameters.ts';
import { ChunkSize } from './chunk-size.ts';
import type { UploadMemory } from './held-bytes.ts';
import { ChunkBuilder } from './ingest/chunk-builder.ts';
import type { ChunkLimits } from './ingest/chunk-builder.ts';
import { ChunkWriter } from './ingest/chunk-writer.ts';
import { ingest } from './ingest/ingest.ts';
import type { Upload } from './ingest/upload.ts';
import { keepLease } from './upload-lease.ts';
import type { UploadQueue } from './upload-queue.ts';

export interface BatchLimits {
  /** Of one caller, at once. */
  readonly openMax: number;
  readonly rowsMax: number;
  readonly chunkRowsMax: number;
  readonly chunkBytesMax: number;
  /** What the runs of a chunk should take together. */
  readonly runMsTarget: number;
  readonly retentionMs: number;
  /** Well below the lease that it renews. */
  readonly touchMs: number;
}

export interface BatchesOptions {
  readonly queue: UploadQueue;
  readonly memory: Pick<MemoryGuard, 'admit'>;
  readonly uploads: UploadMemory;
  readonly resolver: Pick<Resolver, 'resolve'>;
  readonly ledger: BatchLedger;
  readonly store: Pick<ChunkStore, 'place'>;
  readonly costs: Pick<CostCurves, 'rowsFor'>;
  /** There are chunks for the lane of this pool. */
  readonly feed: (pool: string) => void;
  /** Throws `invalid_input` for an address that no webhook may have. */
  readonly checkWebhook: (url: string) => void;
  readonly defaultModel: string;
  readonly limits: BatchLimits;
}

export interface BatchCall {
  /** `batch_` and a ULID. */
  readonly id: string;
  readonly owner: string;
  /** As the path names them. */
  readonly model: string | undefined;
  readonly ref: string | undefined;
  readonly upload: Upload;
  /** Ends the upload: what it would bring next is `error`. */
  readonly stop: (error: MillraceError) => void;
  /** Told as soon as it is known, so that a failure can name it too. */
  readonly onResolved: (version: ModelVersion) => void;
}

/**
 * The whole path of a batch from its first byte until it is accepted, without transport. Throws MillraceError for
 * whatever the caller should be told; then there is either no batch, or one that has failed with that reason.
 */
export class Batches {
  readonly #options: BatchesOptions;

  constructor(options: BatchesOptions) {
    this.#options = options;
  }

  /**
   * First of all, before a byte of the body is read; `model` as the path names it. Waits for its turn. Rejects with
   * `service_unavailable`.
   */
  async admit(caller: string, model: string | undefined): Promise<Permit> {
    this.#options.memory.admit();
    return this.#options.queue.admit(caller, model ?? '');
  }

  /** Takes the upload to its end. The batch is sealed when this resolves, and perhaps done. */
  async take(_permit: Permit, call: BatchCall): Promise<BatchRecord> {
    const { ledger, limits, uploads } = this.#options;
    await checkOpenBatches(ledger, call.owner, limits.openMax);
    const held = uploads.hold();
    try {
      const head = await call.upload.head(held.set);
      const version = this.#resolve(call, head);
      return await this.#accept(call, this.#newBatch(call, head, version), version, held.set);
    } finally {
      held.release();
    }
  }

  async #accept(
    { upload, stop }: BatchCall,
    batch: NewBatch,
    version: ModelVersion,
    onHeld: (bytes: number) => void,
  ): Promise<BatchRecord> {
    const { ledger, store, feed, limits } = this.#options;
    const failed = new AbortController();
    const { signal } = failed;
    const { openMax } = limits;
    const writer = new ChunkWriter({ ledger, store, feed, batch, openMax, holdsAll: upload.isWhole, signal });
    const release = keepLease({
      ledger,
      batchId: batch.id,
      everyMs: limits.touchMs,
      isBegun: () => writer.isBegun,
      onLost: stop,
    });
    try {
      const chunkLimits = await this.#chunkLimits(version);
      const builder = new ChunkBuilder(version, chunkLimits, (chunk) => writer.put(chunk));
      await ingest({ source: upload.rows(version), builder, writer, rowsMax: limits.rowsMax, onHeld });
      return await writer.end(builder.rowsTotal);
    } catch (error) {
      failed.abort();
      await writer.settle();
      if (writer.isBegun) await this.#fail(batch.id, toErrorRecord(error));
      throw error;
    } finally {
      release();
    }
  }

  async #chunkLimits({ servedDigest }: ModelVersion): Promise<ChunkLimits> {
    const { costs, limits } = this.#options;
    const { chunkRowsMax, chunkBytesMax, runMsTarget } = limits;
    const size = new ChunkSize({ costs, servedDigest, runMsTarget, rowsMax: chunkRowsMax });
    await size.ask();
    return { rowsMax: size.rows, bytesMax: chunkBytesMax };
  }

  #resolve(call: BatchCall, { parameters, webhook }: BatchHead): ModelVersion {
    const { resolver, defaultModel, checkWebhook } = this.#options;
    const version = chosenVersion(resolver, { model: call.model, ref: call.ref, parameters }, defaultModel);
    call.onResolved(version);
    if (parameters.outputs !== undefined) checkOutputs(version, parameters.outputs, 'parameters.outputs');
    if (webhook !== null) checkWebhook(webhook);
    return version;
  }

  #newBatch({ id, owner }: BatchCall, { parameters, webhook }: BatchHead, version: ModelVersion): NewBatch {
    return {
      id,
      owner,
      model: version.model,
      version: version.version,
      servedDigest: version.servedDigest,
      pool: poolOf(version.manifest),
      render: renderOf(parameters),
      webhook,
      retryOf: null,
      retentionMs: this.#options.limits.retentionMs,
    };
  }

  /** Where it fails, too, the upload's lease runs out and the sweeper does it. */
  async #fail(id: string, failure: ErrorRecord): Promise<void> {
    try {
      await this.#options.ledger.fail(id, failure);
    } catch (error) {
      const message = 'A batch whose upload had failed could not be ended';
      channels.fault.publish({ component: 'batches', message, error } satisfies FaultEvent);
    }
  }
}
