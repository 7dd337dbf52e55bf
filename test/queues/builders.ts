import { randomUUID } from 'node:crypto';
import type { Redis } from 'ioredis';
import { ulid } from 'ulid';
import type { Manifest } from '../../src/registry/manifest.ts';
import type { ModelVersion } from '../../src/registry/model-version.ts';
import { createRedis } from '../../src/redis.ts';
import type { RedisRole } from '../../src/redis.ts';
import { jobSchemaVersion } from '../../src/queues/job.ts';
import type { InferenceJob } from '../../src/queues/job.ts';
import { resultSchemaVersion } from '../../src/queues/result.ts';
import type { InferenceResult } from '../../src/queues/result.ts';
import { encodeTensors } from '../../src/tensors/binary-codec.ts';
import type { NamedTensors } from '../../src/tensors/tensor.ts';
import { nextEvent } from './inbox.ts';

const open = new Set<Redis>();

/** A ready client, disconnected by `closeConnections`. Errors are expected: tests take Redis away. */
export async function connect(role: RedisRole, url: string): Promise<Redis> {
  const client = createRedis(role, {
    url,
    connectTimeoutMs: 1000,
    commandTimeoutMs: 1500,
    retryDelayMsMax: 100,
    onError: () => undefined,
  });
  open.add(client);
  await nextEvent(client, 'ready');
  return client;
}

export function closeConnections(): void {
  for (const client of open) client.disconnect();
  open.clear();
}

/** One row a value: FP32 `x` of shape [n, 1]. */
export function rows(...values: readonly number[]): NamedTensors {
  return new Map([
    ['x', { datatype: 'FP32' as const, shape: [values.length, 1], data: Float32Array.from(values) }],
  ]);
}

export function rowValues(tensors: NamedTensors): readonly number[] {
  return [...((tensors.get('x')?.data ?? []) as Float32Array)];
}

export function sampleJob(over: Partial<InferenceJob> = {}): InferenceJob {
  return {
    schemaVersion: jobSchemaVersion,
    id: ulid(),
    model: 'wine',
    version: 'v1',
    servedDigest: 'd'.repeat(64),
    pool: 'default',
    lane: 'online',
    replyTo: 'api-1',
    submittedAtMs: 1_700_000_000_000.25,
    entries: [{ requestId: randomUUID(), rowCount: 2, deadlineMs: 1_700_000_002_000 }],
    outputs: null,
    payload: encodeTensors(rows(1, 2)),
    ...over,
  };
}

export function sampleResult(over: Partial<InferenceResult> = {}): InferenceResult {
  return {
    schemaVersion: resultSchemaVersion,
    id: ulid(),
    workerId: 'worker-1',
    failures: [],
    tensors: rows(3, 4),
    timings: { queueMs: 0.5, waitMs: 0.25, runMs: 1.5 },
    batchRows: 2,
    ...over,
  };
}

export function sampleVersion(manifest: Partial<Manifest> = {}, version = 'v1'): ModelVersion {
  return {
    model: 'wine',
    version,
    digest: 'd'.repeat(64),
    servedDigest: 'd'.repeat(64),
    artifactBytes: 1,
    manifest: { schema_version: 1, name: 'wine', ...manifest },
    signature: { inputs: [], outputs: [], batch: { kind: 'dynamic' } },
    labels: null,
    roles: { task: 'tensor' },
    status: 'ready',
    createdAtMs: 0,
    createdBy: 'test',
  };
}
