import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { createWriteStream } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { createRedis } from '../src/redis.ts';
import { batchOf, cancel, countResults, submitFile, submitRows, untilEnded } from './batch-client.ts';
import { childrenOf, watchMemory } from './memory-watch.ts';
import { openLoop } from './open-loop.ts';
import type { Row, Section } from './report.ts';
import { spread } from './statistics.ts';
import type { Spread } from './statistics.ts';
import { fixture } from './system.ts';
import type { System } from './system.ts';

export interface BatchBenchOptions {
  readonly rows: number;
  readonly wideRows: number;
  readonly rounds: number;
  /** Requests a second that the predict path gets through. */
  readonly capacity: number;
  readonly seconds: number;
}

/** Bytes of five float32 numbers: what a row of the small model takes, packed. */
const packedRowBytes = 20;
const runsPerRound = 1024;

/** The way of batches, against one plain process that does the same work with nothing around it. */
export async function batches(system: System, options: BatchBenchOptions): Promise<readonly Section[]> {
  const small = join(system.folder, 'small.ndjson');
  const wide = join(system.folder, 'wide.ndjson');
  await writeRows(small, options.rows, 5, () => (Math.random() * 9).toFixed(4));
  await writeRows(wide, options.wideRows, 784, () => String(Math.floor(Math.random() * 10)));
  return [await throughput(system, options, small, wide), await beside(system, options, small)];
}

async function throughput(
  system: System,
  options: BatchBenchOptions,
  small: string,
  wide: string,
): Promise<Section> {
  const ours: number[] = [];
  const plain: number[] = [];
  const pids = processes(system);
  const redis = redisMemory(system.redisUrl);
  const idleBytes = await redis.usedBytes();
  let redisBytesMax = 0;
  const timer = setInterval(
    () => void redis.usedBytes().then((used) => (redisBytesMax = Math.max(redisBytesMax, used))),
    200,
  );
  const memory = watchMemory(pids);
  for (let round = 0; round < options.rounds; round += 1) {
    const yardstick = run<{ seconds: number; rows: number }>(
      'plain-batch.ts',
      fixture('mlp-5-3.onnx'),
      small,
      String(runsPerRound),
    );
    plain.push(yardstick.rows / yardstick.seconds);
    ours.push(await rate(system, 'wine', small, options.rows));
  }
  memory.stop();
  clearInterval(timer);
  redis.close();
  const raw = run<{ perSecond: number }>('raw-session.ts', fixture('mlp-784-10.onnx'), '784').perSecond;
  const wideRate = await rate(system, 'mlp-784-10', wide, options.wideRows);
  const parsed = run<{ perSecond: number }>('parse-lines.ts', wide).perSecond;
  const redisShare = (redisBytesMax - idleBytes) / (options.rows * packedRowBytes);
  const count = options.rows.toLocaleString('en-GB');
  return {
    title: 'Batches',
    notes: [
      `From the POST of ${count} lines of NDJSON (five features) until all results are read as NDJSON, while a plain Node process parses the same file, runs it in batches of ${runsPerRound} and stringifies the results. The client shares the two cores.`,
    ],
    rows: [
      compared('5 features: rows a second / one plain process', 'rows/s', ours, plain, 0.25),
      compared(
        `784→10, ${options.wideRows.toLocaleString('en-GB')} rows / raw session at its best batch size`,
        'rows/s',
        [wideRate],
        [raw],
        0.5,
      ),
      compared(
        '784→10: rows a second / JSON.parse of the same lines alone, on one core',
        'rows/s',
        [wideRate],
        [parsed],
        null,
      ),
      ...[...memory.grownMb()].map(([name, mb]) => bounded(`growth of RSS of ${name}`, 'MB', mb, 150)),
      bounded('most memory of Redis / the packed payload of all rows', '', redisShare, 3),
    ],
  };
}

async function beside(system: System, options: BatchBenchOptions, small: string): Promise<Section> {
  const { apiUrl, apiKey } = system;
  const arrivals = {
    url: `${apiUrl}/api/v1/predict`,
    apiKey,
    perSecond: options.capacity * 0.2,
    seconds: options.seconds,
    width: 5,
  };
  const alone = await openLoop(arrivals);
  const big = await submitFile(system, 'wine', small);
  // More than one, so that the lane is full for as long as the arrivals take.
  const more = await Promise.all([submitFile(system, 'wine', small), submitFile(system, 'wine', small)]);
  const during = await openLoop(arrivals);
  const states = await Promise.all([...more, big].map(({ id }) => batchOf(system, id)));
  const stillRuns = states.some(({ status }) => status === 'running');
  const startedAtMs = performance.now();
  const late = await submitRows(
    system,
    'wine',
    Array.from({ length: 10 }, () => [1, 2, 3, 4, 5]),
  );
  await untilEnded(system, late.id);
  const lateS = (performance.now() - startedAtMs) / 1000;
  const last = await submitFile(system, 'wine', small);
  for (const { id } of [big, ...more, last]) await cancel(system, id);
  const cancelledAtMs = performance.now();
  const lastRunS = (await lastChange(() => attempts(system), cancelledAtMs)) / 1000;
  return {
    title: 'Beside a batch',
    notes: [
      `Arrivals at a fixed rate, 20 % of capacity, alone and while batches of ${options.rows.toLocaleString('en-GB')} rows keep the pool busy${stillRuns ? '' : ' (they had ended before the arrivals did)'}. During the batches ${(during.refusedShare * 100).toFixed(1)} % were refused and ${during.failed} failed.`,
    ],
    rows: [
      {
        ...compared('p99 of predict during a batch / alone', 'ms', [during.p99Ms], [alone.p99Ms], null),
        target: '≤ 3',
        reached: during.p99Ms / alone.p99Ms <= 3,
      },
      bounded('a batch of 10 rows, submitted meanwhile, is done after', 's', lateS, 1),
      bounded('the last run ended after the cancel by', 's', lastRunS, 1),
    ],
  };
}

async function rate(system: System, model: string, file: string, rows: number): Promise<number> {
  const startedAtMs = performance.now();
  const { id } = await submitFile(system, model, file);
  const lines = await countResults(system, id);
  const seconds = (performance.now() - startedAtMs) / 1000;
  const { status, counts } = await batchOf(system, id);
  if (lines !== rows || status !== 'completed' || counts.succeeded !== rows)
    throw new Error(`${status}: ${lines} lines and ${JSON.stringify(counts)} for ${rows} rows`);
  return rows / seconds;
}

function processes({ api, worker }: System): ReadonlyMap<string, number> {
  const hosts = childrenOf(worker.pid).map((pid, index) => [`host ${index}`, pid] as const);
  return new Map([['api', api.pid], ['worker', worker.pid], ...hosts]);
}

function redisMemory(url: string): { usedBytes(): Promise<number>; close(): void } {
  const redis = createRedis('blocking', {
    url,
    connectTimeoutMs: 1000,
    commandTimeoutMs: 5000,
    retryDelayMsMax: 1000,
    onError: () => undefined,
  });
  return {
    usedBytes: async () => Number(/used_memory:(\d+)/.exec(await redis.info('memory'))?.[1]),
    close: () => redis.disconnect(),
  };
}

/** Attempts at chunks that have ended. */
async function attempts({ adminUrls }: System): Promise<number> {
  const metrics = await (await fetch(`${adminUrls.worker}/metrics`)).text();
  return [...metrics.matchAll(/^millrace_chunks_total\{.*\} (\d+)/gm)].reduce(
    (sum, [, count]) => sum + Number(count),
    0,
  );
}

/** Milliseconds from `sinceMs` until the figure changed for the last time; still for two seconds, it is taken for settled. */
async function lastChange(figure: () => Promise<number>, sinceMs: number): Promise<number> {
  let known = await figure();
  let changedAtMs = sinceMs;
  for (;;) {
    const now = await figure();
    if (now !== known) changedAtMs = performance.now();
    known = now;
    if (performance.now() - Math.max(changedAtMs, sinceMs) > 2000) return changedAtMs - sinceMs;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

async function writeRows(file: string, rows: number, width: number, number: () => string): Promise<void> {
  const out = createWriteStream(file);
  // Some thousand different ones say as much as a million, and are made much faster.
  const lines = Array.from({ length: 4096 }, () => `[${Array.from({ length: width }, number).join(',')}]\n`);
  for (let row = 0; row < rows; row += 1) if (!out.write(lines[row % lines.length])) await once(out, 'drain');
  out.end();
  await once(out, 'close');
}

function run<T>(script: string, ...args: readonly string[]): T {
  const path = fileURLToPath(new URL(`subjects/${script}`, import.meta.url));
  return JSON.parse(execFileSync(process.execPath, [path, ...args], { encoding: 'utf8' })) as T;
}

function compared(
  name: string,
  unit: string,
  ours: readonly number[],
  yardstick: readonly number[],
  target: number | null,
): Row {
  const ratio = spread(ours.map((value, index) => value / (yardstick[index] as number)));
  return {
    name,
    unit,
    ours: spread(ours),
    yardstick: spread(yardstick),
    ratio,
    target: target === null ? null : `≥ ${target}`,
    reached: target === null ? null : ratio.median >= target,
  };
}

function bounded(name: string, unit: string, value: number, max: number): Row {
  const single: Spread = { median: value, min: value, max: value };
  return {
    name,
    unit,
    ours: single,
    yardstick: null,
    ratio: null,
    target: `≤ ${max}`,
    reached: value <= max,
  };
}
