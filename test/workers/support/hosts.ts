import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { HostPool } from '../../../src/workers/host-pool.ts';
import type { HostPoolOptions, PoolRun } from '../../../src/workers/host-pool.ts';
import type { LoadSpec } from '../../../src/workers/residents.ts';
import { tensor } from '../../support/builders.ts';

export const realHost = fileURLToPath(new URL('../../../src/workers/host/main.ts', import.meta.url));
/** The real host with sessions that abort, hang or wait on marker values: see poison-host.ts. */
export const poisonHost = fileURLToPath(new URL('./poison-host.ts', import.meta.url));

export const nowMs = (): number => performance.timeOrigin + performance.now();

const generousMs = 15_000;

export const poolDefaults: HostPoolOptions = {
  hostCount: 1,
  hostEntry: realHost,
  hostEnv: {},
  startTimeoutMs: generousMs,
  loadTimeoutMs: generousMs,
  runTimeoutMs: generousMs,
  hungGraceMs: 50,
  restartDelayMsMax: 200,
  bulkSharePercentMin: 10,
  nowMs,
};

const openPools = new Set<HostPool>();

/** A pool whose first host is up; `closePools` in an afterEach ends it. */
export async function openPool(options: Partial<HostPoolOptions> = {}): Promise<HostPool> {
  const pool = new HostPool({ ...poolDefaults, ...options });
  openPools.add(pool);
  pool.start();
  await pool.serving();
  return pool;
}

export async function closePools(): Promise<void> {
  await Promise.all([...openPools].map((pool) => pool.close(1000)));
  openPools.clear();
}

export function fixturePath(name: string): string {
  return fileURLToPath(new URL(`../../fixtures/models/${name}.onnx`, import.meta.url));
}

export function fixtureSpec(name: string, changes: Partial<LoadSpec> = {}): LoadSpec {
  const path = fixturePath(name);
  const digest = createHash('sha256').update(readFileSync(path)).digest('hex');
  return { key: name, model: name, version: '1', path, digest, intraOpThreads: 1, warmups: [], ...changes };
}

/** A run of `nonce` (y = 3x + 1), one row for each value. */
export function nonceRun(values: readonly number[], changes: Partial<PoolRun> = {}): PoolRun {
  return {
    key: 'nonce',
    lane: 'online',
    outputs: null,
    tensors: new Map([['x', tensor('FP64', [values.length, 1], values)]]),
    deadlineMs: nowMs() + generousMs,
    ...changes,
  };
}
