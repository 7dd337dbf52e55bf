import type { Redis } from 'ioredis';
import { ulid } from 'ulid';
import type { BatchLedger, ChunkStore, DeadLetters } from '../../../../src/queues/batch/batch-ledger.ts';
import type { ChunkRef } from '../../../../src/queues/batch/batch.ts';
import type { TakenChunk } from '../../../../src/queues/batch/bulk-consumer.ts';
import { decodeChunkResult, encodeChunkInput } from '../../../../src/queues/batch/chunk.ts';
import type { ChunkInput, ChunkResult } from '../../../../src/queues/batch/chunk.ts';
import { createRedisBatchLedger } from '../../../../src/queues/batch/redis-batch-ledger.ts';
import { createChunkStore } from '../../../../src/queues/batch/redis-chunk-store.ts';
import { createRedisKeys } from '../../../../src/queues/lanes.ts';
import type { RedisKeys } from '../../../../src/queues/lanes.ts';
import type { ModelVersion } from '../../../../src/registry/model-version.ts';
import type { NamedTensors } from '../../../../src/tensors/tensor.ts';
import { ChunkRunner } from '../../../../src/workers/bulk/chunk-runner.ts';
import type { ChunkRunnerOptions } from '../../../../src/workers/bulk/chunk-runner.ts';
import { RunCosts } from '../../../../src/workers/bulk/run-costs.ts';
import { createRedisCostCurves } from '../../../../src/queues/batch/cost-curves.ts';
import { HostPool } from '../../../../src/workers/host-pool.ts';
import { ModelPool } from '../../../../src/workers/model-pool.ts';
import { Quarantine } from '../../../../src/workers/quarantine.ts';
import { VersionFaults } from '../../../../src/workers/version-faults.ts';
import { connect } from '../../../queues/builders.ts';
import { tensor } from '../../../support/builders.ts';
import { randomPrefix, redisUrl } from '../../../support/services.ts';
import type { FixtureRegistry } from '../../support/fixture-registry.ts';
import { nowMs, openPool, poolDefaults } from '../../support/hosts.ts';

export type Letter = Parameters<DeadLetters['add']>[0][number];

/** The worker's side of the bulk lane on a real ledger, with real hosts; chunks are handed over by the test. */
export interface ChunkRig {
  readonly ledger: BatchLedger;
  readonly chunks: ChunkStore;
  readonly hosts: HostPool;
  readonly redis: Redis;
  readonly keys: RedisKeys;
  readonly letters: readonly Letter[];
  /** How often room was told of. */
  readonly feedCount: number;
  readonly runner: ChunkRunner;
  /** Another worker's, on the same hosts. */
  runnerWith(changes: Partial<ChunkRunnerOptions>): ChunkRunner;
  /** A sealed batch of one chunk. */
  submit(version: ModelVersion, chunk: Partial<ChunkInput> & Pick<ChunkInput, 'tensors'>): Promise<ChunkRef>;
  result(ref: ChunkRef): Promise<ChunkResult | undefined>;
  close(): Promise<void>;
}

const loadTimeoutMs = 15_000;

export async function openChunkRig(
  registry: FixtureRegistry,
  poolOptions: Parameters<typeof openPool>[0] = {},
): Promise<ChunkRig> {
  const redis = await connect('command', redisUrl());
  const keys = createRedisKeys(randomPrefix());
  const ledger = createRedisBatchLedger({ redis, keys, uploadLeaseMs: 60_000 });
  const chunks = createChunkStore({ redis, keys, artifacts: registry.artifacts, redisBytesMax: 1_000_000 });
  const hosts = await openPool(poolOptions);
  const quarantine = new Quarantine({
    openHosts: () => {
      const opened = new HostPool({ ...poolDefaults, ...poolOptions, hostCount: 1, name: 'quarantine' });
      opened.start();
      return opened;
    },
    idleMs: 15_000,
    stopMs: 1000,
    nowMs,
  });
  const letters: Letter[] = [];
  let feedCount = 0;
  const options: ChunkRunnerOptions = {
    hosts,
    quarantine,
    faults: new VersionFaults(nowMs),
    models: new ModelPool({
      hosts,
      artifacts: registry.artifacts,
      loadedBytesMax: 10_000_000,
      loadTimeoutMs,
      intraOpThreads: 1,
    }),
    versions: registry.versions,
    ledger,
    chunks,
    deadLetters: { add: async (added) => void letters.push(...added) },
    feed: () => {
      feedCount += 1;
    },
    costs: new RunCosts({ curves: createRedisCostCurves({ redis, keys }), nowMs }),
    runMsTarget: 25,
    runRowsMax: 64,
    nowMs,
  };
  return {
    ledger,
    chunks,
    hosts,
    redis,
    keys,
    letters,
    get feedCount() {
      return feedCount;
    },
    runner: new ChunkRunner(options),
    runnerWith: (changes) => new ChunkRunner({ ...options, ...changes }),
    submit: async (version, chunk) => {
      const ref = { batchId: `batch_${ulid()}`, index: 0 };
      const rows = rowsOf(chunk.tensors) + (chunk.refusals?.length ?? 0);
      const input: ChunkInput = {
        firstRow: 0,
        rowCount: rows,
        ids: null,
        lines: null,
        refusals: [],
        ...chunk,
      };
      await ledger.create(batchOf(ref.batchId, version));
      await ledger.addChunk(ref.batchId, {
        index: 0,
        firstRow: input.firstRow,
        rowCount: rows,
        refusedCount: input.refusals.length,
        input: { kind: 'redis', bytes: encodeChunkInput(ref, input) },
      });
      await ledger.seal(ref.batchId, rows);
      await ledger.claim('default', 10);
      return ref;
    },
    result: async (ref) => {
      const [stored] = await ledger.chunks(ref.batchId, ref.index, 1);
      if (stored === undefined || stored.result === null) return undefined;
      const bytes = await chunks.readResult(ref, stored.result);
      return bytes === undefined ? undefined : decodeChunkResult(ref, bytes);
    },
    close: () => quarantine.close(),
  };
}

function batchOf(id: string, { model, version, servedDigest }: ModelVersion) {
  return {
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
  };
}

function rowsOf(tensors: NamedTensors): number {
  return [...tensors.values()][0]?.shape[0] ?? 0;
}

export function taken(ref: ChunkRef, changes: Partial<TakenChunk> = {}): TakenChunk {
  const { signal } = new AbortController();
  return { ref, startCount: 1, attempt: 1, isLastAttempt: false, signal, ...changes };
}

/** `count` rows of one INT64 column, the place of the row where `value` does not say otherwise. */
export function integers(
  name: string,
  count: number,
  value: (row: number) => number = (row) => row,
): NamedTensors {
  const elements = Array.from({ length: count }, (_, row) => BigInt(value(row)));
  return new Map([[name, tensor('INT64', [count], elements)]]);
}

export function valuesOf(result: ChunkResult | undefined, name: string): readonly unknown[] {
  return Array.from<unknown>(result?.tensors.get(name)?.data ?? []);
}
