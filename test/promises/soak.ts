import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { fixtureModels } from '../integration/fixture-models.ts';
import { withRedis } from '../integration/redis.ts';
import { descendantsOf } from '../support/processes.ts';
import { startRedis } from '../support/redis-server.ts';
import { startStack } from '../support/stack.ts';
import type { Stack } from '../support/stack.ts';
import { startTraffic } from './support/traffic.ts';
import type { Account } from './support/traffic.ts';

/**
 * `npm run soak`: a million predictions, each with its own right answer, and the memory of every process meanwhile.
 * Ends with code 1 when an answer was wrong or missing, or when memory was not flat after the warm-up.
 */

const callers = 64;
const samplesCount = 50;
/** Until caches are full, the heaps have found their size and hosts their arenas. */
const warmUpShare = 0.4;
/** Over well within the warm-up, so that as much leaves the cache as comes into it. */
const cacheTtlMs = 10_000;
/** Of the median of the last third after the warm-up from that of the first. */
const changeMax = 0.1;

/** Bytes by name of what was measured. */
type Sample = Readonly<Record<string, number>>;

const { values } = parseArgs({ options: { predictions: { type: 'string', default: '1000000' } } });
const predictions = Number(values.predictions);
if (!Number.isInteger(predictions) || predictions < samplesCount)
  throw new Error(`--predictions must be a whole number of at least ${samplesCount}`);

const redis = await startRedis();
const stack = await startStack({
  redis,
  models: fixtureModels('nonce', 'sum-rows'),
  env: { MILLRACE_CACHE_TTL_MS: String(cacheTtlMs) },
});
try {
  const startedAtMs = performance.now();
  const traffic = startTraffic({ stack, callers, timeoutMs: 10_000 });
  const samples: Sample[] = [];
  for (let taken = 0; taken < samplesCount; taken++) {
    await traffic.served(predictions / samplesCount);
    samples.push(await measure(stack));
  }
  const account = await traffic.stop();
  const tookS = (performance.now() - startedAtMs) / 1000;
  print(
    `${account.sent} predictions in ${tookS.toFixed(0)} s, ${(account.sent / tookS).toFixed(0)} a second`,
  );
  const problems = [...problemsOf(account), ...growthOf(samples)];
  for (const problem of problems) print(`FAILED: ${problem}`);
  process.exitCode = problems.length === 0 ? 0 : 1;
} finally {
  await stack.stop();
  await redis.stop();
}

async function measure({ apis, workers, redisUrl }: Stack): Promise<Sample> {
  const memory = await withRedis({ redisUrl }, (client) => client.info('memory'));
  const worker = workers[0]!.pid;
  const hosts = descendantsOf(worker).map((pid, index) => [`host ${index + 1}`, rssOf(pid)] as const);
  return {
    api: rssOf(apis[0]!.pid),
    worker: rssOf(worker),
    ...Object.fromEntries(hosts),
    // Its process also holds what a rewrite of its file needs, now and then.
    Redis: Number(/used_memory:(\d+)/.exec(memory)?.[1]),
  };
}

/** Resident memory, from /proc: Linux only. */
function rssOf(pid: number): number {
  return Number(/VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) * 1024;
}

function problemsOf({ statuses, wrong, broken, late }: Account): string[] {
  return [
    ...[wrong, broken, late].flatMap((list) => list.slice(0, 5)),
    ...Object.keys(statuses)
      .filter((status) => status !== '200')
      .map((status) => `${statuses[Number(status)]} answers of status ${status}`),
  ];
}

/** Prints what each used before and after, and returns those that changed by more than is allowed. */
function growthOf(samples: readonly Sample[]): string[] {
  const warm = samples.slice(Math.floor(samples.length * warmUpShare));
  const third = Math.floor(warm.length / 3);
  return Object.keys(warm[0] ?? {}).flatMap((name) => {
    const before = median(warm.slice(0, third).map((sample) => sample[name] ?? 0));
    const after = median(warm.slice(-third).map((sample) => sample[name] ?? 0));
    const change = after / before - 1;
    const text = `${name}: ${megabytes(before)} after the warm-up, ${megabytes(after)} at the end (${(100 * change).toFixed(1)} %)`;
    print(text);
    return Math.abs(change) > changeMax ? [text] : [];
  });
}

function median(numbers: readonly number[]): number {
  return numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)] ?? 0;
}

function megabytes(bytes: number): string {
  return `${(bytes / 1024 / 1024).toFixed(1)} MB`;
}

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}
