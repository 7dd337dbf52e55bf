import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Redis } from 'ioredis';
import { monotonicFactory } from 'ulid';
import { Admission } from '../../../../src/api/admission.ts';
import type { BatchParts } from '../../../../src/api/batch/start-batches.ts';
import { startIdempotency } from '../../../../src/api/idempotency/start-idempotency.ts';
import { joinBatches } from '../../../../src/api/join-batches.ts';
import { SqliteWebhookSecrets } from '../../../../src/api/keys/sqlite-webhook-secrets.ts';
import { parseKey } from '../../../../src/api/keys/key-format.ts';
import { channels } from '../../../../src/channels.ts';
import type { StreamEvent } from '../../../../src/channels.ts';
import { MillraceError } from '../../../../src/errors.ts';
import { createLifecycle } from '../../../../src/lifecycle.ts';
import type { NewBatch } from '../../../../src/queues/batch/batch.ts';
import type { BatchLedger, ChunkStore, DeadLetters } from '../../../../src/queues/batch/batch-ledger.ts';
import { encodeChunkInput, encodeChunkResult } from '../../../../src/queues/batch/chunk.ts';
import { createRedisBatchWatcher } from '../../../../src/queues/batch/redis-batch-watcher.ts';
import { createChunkStore } from '../../../../src/queues/batch/redis-chunk-store.ts';
import { createRedisDeadLetters } from '../../../../src/queues/batch/redis-dead-letters.ts';
import type { RedisKeys } from '../../../../src/queues/lanes.ts';
import { FolderArtifactStore } from '../../../../src/registry/folder-artifact-store.ts';
import type { ModelVersion } from '../../../../src/registry/model-version.ts';
import { loadSettings } from '../../../../src/settings.ts';
import type { Settings } from '../../../../src/settings.ts';
import { closeConnections, connect } from '../../../queues/builders.ts';
import { makeLedgerRig } from '../../../queues/batch/support/ledger-rig.ts';
import { redisUrl } from '../../../support/services.ts';
import { wineVersion } from '../../../support/builders.ts';
import { startTestApi } from '../../support/test-api.ts';
import type { TestApi, TestApiOptions, TestRequest } from '../../support/test-api.ts';
import { runWaiting } from './answering-worker.ts';
import { wineInput, wineResult } from './wine-chunks.ts';
import type { WineChunk } from './wine-chunks.ts';

export interface BatchRigOptions {
  /** Of one caller. */
  readonly eventStreamsMax?: number;
  readonly redisBytesMax?: number;
  /** Over those of config/default.yaml; `wait_ms` is 0 unless given. */
  readonly batch?: Partial<Settings['batch']>;
  /** Chunks of the pool `default` are run as soon as they are fed. */
  readonly works?: boolean;
  readonly server?: TestApiOptions['server'];
  /** What submitting sees of the ledger. */
  readonly ledger?: (ledger: BatchLedger) => BatchLedger;
}

/** The batch routes over HTTP on a real ledger; the test plays the uploads and the workers. */
export interface BatchRig {
  readonly api: TestApi;
  readonly redis: Redis;
  readonly keys: RedisKeys;
  readonly ledger: BatchLedger;
  readonly store: ChunkStore;
  readonly letters: DeadLetters;
  /** Answers that are open. */
  readonly streams: OpenStreams;
  /** Of uploads. */
  readonly admission: Admission;
  /** Answers as `memory.admit` does. */
  memory: () => void;
  readonly stopping: AbortController;
  /** Chunks of results that were read. */
  readCount(): number;
  /** Watches that have not ended. */
  watched(): number;
  /** Pools that were said to have something to do. */
  readonly fed: string[];
  /** Versions that there are. */
  readonly versions: ModelVersion[];
  /** Key and id of a caller with scope batch. */
  readonly key: string;
  readonly owner: string;
  create(over?: Partial<NewBatch>): Promise<string>;
  add(id: string, index: number, chunk: WineChunk): Promise<void>;
  finish(id: string, index: number, chunk: WineChunk): Promise<void>;
  /** A sealed batch; chunks are finished unless `unfinished` names them. */
  submit(chunks: readonly WineChunk[], options?: SubmitOptions): Promise<string>;
  /** POSTs an upload. */
  send(
    path: string,
    type: string,
    body: NonNullable<TestRequest['body']>,
    headers?: Readonly<Record<string, string>>,
  ): Promise<Response>;
  /** Resolves when nothing is being run. */
  idle(): Promise<void>;
  get(path: string, headers?: Readonly<Record<string, string>>): Promise<Response>;
  call(method: string, path: string, headers?: Readonly<Record<string, string>>): Promise<Response>;
  close(): Promise<void>;
}

export interface SubmitOptions {
  readonly unfinished?: readonly number[];
  readonly over?: Partial<NewBatch>;
}

/** In order also within a millisecond. */
const nextUlid = monotonicFactory();

export async function startBatchRig(options: BatchRigOptions = {}): Promise<BatchRig> {
  const { ledger, redis, keys } = await makeLedgerRig();
  const subscriber = await connect('subscriber', redisUrl());
  const lifecycle = createLifecycle();
  const watcher = await lifecycle.start(
    'batch watcher',
    () => createRedisBatchWatcher({ subscriber, keys }),
    (each) => each.close(),
  );
  const { settings } = loadSettings({});
  const idempotency = await startIdempotency(lifecycle, { redis, subscriber, keys }, settings.idempotency);
  const folder = await mkdtemp(join(tmpdir(), 'millrace-batches-'));
  const artifacts = new FolderArtifactStore(folder);
  const secrets = await lifecycle.start(
    'secrets of webhooks',
    () => new SqliteWebhookSecrets(join(folder, 'keys.db')),
    (each) => each.close(),
  );
  const store = createChunkStore({
    redis,
    keys,
    artifacts,
    redisBytesMax: options.redisBytesMax ?? 1_000_000,
  });
  const letters = createRedisDeadLetters({ redis, keys, countMax: 1000 });
  const fed: string[] = [];
  const counts = { read: 0, watched: 0 };
  const seen = options.ledger?.(ledger) ?? ledger;
  let running = Promise.resolve();
  const parts: BatchParts = {
    ledger: seen,
    store: {
      ...store,
      readResult: (ref, place) => {
        counts.read += 1;
        return store.readResult(ref, place);
      },
    },
    watcher: {
      onEnding: (listener) => watcher.onEnding(listener),
      watch: (id, onChange) => {
        counts.watched += 1;
        const end = watcher.watch(id, onChange);
        return () => {
          counts.watched -= 1;
          end();
        };
      },
    },
    lane: { add: async () => undefined, missing: async () => [] },
    feed: (pool) => {
      fed.push(pool);
      if (options.works === true && pool === 'default')
        running = running.then(() => runWaiting(ledger, store, pool));
    },
  };
  const versions = [wineVersion()];
  const resolve = (model: string, ref?: string): ModelVersion => {
    const found = versions.find((each) => each.model === model && (ref ?? each.version) === each.version);
    if (found === undefined) throw new MillraceError('not_found');
    return found;
  };
  const stopping = new AbortController();
  const streams = openStreams();
  const perCallerMax = options.eventStreamsMax ?? settings.batch.event_streams_per_caller_max;
  const admission = new Admission(64, { limit: () => Number.POSITIVE_INFINITY, answered: () => undefined });
  const api = await startTestApi({
    ...(options.server === undefined ? {} : { server: options.server }),
    idempotency,
    batches: joinBatches({
      parts,
      letters,
      idempotency,
      resolver: { resolve },
      costs: { rowsFor: async () => undefined },
      admission,
      memory: { admit: () => rig.memory() },
      webhooks: {
        queue: { add: async () => undefined },
        log: { list: async () => [] },
        secrets,
        rotationOverlapMs: settings.webhooks.rotation_overlap_ms,
        checkUrl: () => undefined,
      },
      nowMs: Date.now,
      stopping: stopping.signal,
      settings: {
        ...settings,
        batch: {
          ...settings.batch,
          wait_ms: 0,
          event_streams_per_caller_max: perCallerMax,
          ...options.batch,
        },
      },
    }),
  });
  const key = await api.keyWith(['batch']);
  const owner = parseKey(key)?.id ?? '';

  const rig: BatchRig = {
    api,
    redis,
    keys,
    ledger,
    store,
    letters,
    streams,
    admission,
    memory: () => undefined,
    stopping,
    readCount: () => counts.read,
    watched: () => counts.watched,
    fed,
    versions,
    key,
    owner,
    create: async (over = {}) => {
      const { model, version, servedDigest } = wineVersion();
      const render = { returnProbability: false, topK: null, outputs: null };
      const fixed = { model, version, servedDigest, render, pool: 'default', webhook: null, retryOf: null };
      const id = `batch_${nextUlid()}`;
      await ledger.create({ id, owner, retentionMs: 60_000, ...fixed, ...over });
      return id;
    },
    add: async (id, index, chunk) => {
      const bytes = encodeChunkInput({ batchId: id, index }, wineInput(chunk));
      const input = await store.place(id, bytes, 0);
      const { firstRow, rowCount, refused = [] } = chunk;
      await ledger.addChunk(id, { index, firstRow, rowCount, refusedCount: refused.length, input });
    },
    finish: async (id, index, chunk) => {
      const ref = { batchId: id, index };
      await ledger.begin(ref);
      const result = await store.place(id, encodeChunkResult(ref, wineResult(chunk)), 0);
      const { rowCount, refused = [], failed = [] } = chunk;
      const rowsFailed = refused.length + failed.length;
      const rowsSucceeded = rowCount - rowsFailed;
      await ledger.settle(ref, { result, rowsSucceeded, rowsFailed, rowsRetryable: failed.length });
    },
    submit: async (chunks, { unfinished = [], over = {} } = {}) => {
      const id = await rig.create(over);
      for (const [index, chunk] of chunks.entries()) await rig.add(id, index, chunk);
      await ledger.seal(
        id,
        chunks.reduce((sum, { rowCount }) => sum + rowCount, 0),
      );
      for (const [index, chunk] of chunks.entries())
        if (!unfinished.includes(index)) await rig.finish(id, index, chunk);
      return id;
    },
    send: (path, type, body, headers = {}) =>
      api.request(path, {
        method: 'POST',
        headers: { 'x-api-key': key, 'content-type': type, ...headers },
        body,
        ...(typeof body === 'string' ? {} : { duplex: 'half' }),
      }),
    idle: () => running,
    get: (path, headers = {}) => rig.call('GET', path, headers),
    call: (method, path, headers = {}) => {
      const init: TestRequest = { method, headers: { 'x-api-key': key, ...headers } };
      return api.request(path, init);
    },
    close: async () => {
      await api.close();
      await running;
      streams.end();
      await lifecycle.stop();
      closeConnections();
      await rm(folder, { recursive: true, force: true });
    },
  };
  return rig;
}

/** For a describe block: started before its tests, stopped after them. */
export function useBatchRig(options: BatchRigOptions = {}): () => BatchRig {
  let rig: BatchRig | undefined;
  before(async () => {
    rig = await startBatchRig(options);
  });
  after(() => rig?.close());
  return () => {
    if (rig === undefined) throw new Error('the rig is there once the tests run');
    return rig;
  };
}

/** `rowCount` rows in chunks of `size`. */
export function chunksOf(rowCount: number, size: number, more: Partial<WineChunk> = {}): WineChunk[] {
  const chunks: WineChunk[] = [];
  for (let firstRow = 0; firstRow < rowCount; firstRow += size)
    chunks.push({ ...more, firstRow, rowCount: Math.min(size, rowCount - firstRow) });
  return chunks;
}

interface OpenStreams {
  events(): number;
  results(): number;
  pages(): number;
  end(): void;
}

/** Counted by what is published about them. */
function openStreams(): OpenStreams {
  const open = { events: 0, results: 0, pages: 0 };
  const listener = (event: unknown): void => {
    const { kind, change } = event as StreamEvent;
    open[kind] += change === 'opened' ? 1 : -1;
  };
  channels.stream.subscribe(listener);
  return {
    events: () => open.events,
    results: () => open.results,
    pages: () => open.pages,
    end: () => {
      channels.stream.unsubscribe(listener);
    },
  };
}
