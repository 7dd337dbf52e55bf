import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseRunFile, runFilePath } from '../run-file.ts';
import type { RunFile } from '../run-file.ts';
import { dockerImage, prepareRedis } from './embedded-redis.ts';
import { findRedis } from './find-redis.ts';
import type { RedisSource } from './find-redis.ts';
import { shorten } from './launch.ts';
import type { Launch } from './launch.ts';
import { freePort } from './ports.ts';
import { runQuietly } from './run-quietly.ts';
import { shutDownRedis } from './shut-down-redis.ts';
import { UserError } from './user-error.ts';

/** The keeper gives Redis 5 s. */
export const redisStopTimeoutMs = 7_000;
/** 40 MB over a line of 1 Mbit/s. */
const fetchTimeoutMs = 320_000;

/** Leaves the run file that others join by, and takes it away at the end. */
export async function startRedis(launch: Launch, apiUrl: string): Promise<string> {
  const { home, loaded, lifecycle, output } = launch;
  await endRedisOfCrashedRun(home);
  const given = loaded.sources['redis.url'] === 'default' ? undefined : loaded.settings.redis.url;
  const source = await findRedis({
    url: given,
    path: process.env['PATH'] ?? '',
    isRoot: process.getuid?.() === 0,
    allowDocker: true,
    announce: (sentence) => output.line(`  … ${sentence}`),
  });
  if (source.kind === 'none') throw new UserError(source.sentence);
  const redisUrl = source.kind === 'url' ? await useGivenRedis(source.url) : await runRedis(launch, source);
  const run: RunFile = {
    pid: process.pid,
    startedAtMs: Date.now(),
    redisUrl,
    embeddedRedis: source.kind !== 'url',
    apiUrl,
  };
  await lifecycle.start(
    'run file',
    () => writeFileSync(runFilePath(home), `${JSON.stringify(run, null, 2)}\n`, { mode: 0o600 }),
    () => rmSync(runFilePath(home), { force: true }),
  );
  output.tick('Redis', describeSource(source, home));
  return redisUrl;
}

/** With the lock in hand a run file can only be one of a launcher that was killed. */
async function endRedisOfCrashedRun(home: string): Promise<void> {
  const left = parseRunFile(home);
  rmSync(runFilePath(home), { force: true });
  if (left?.embeddedRedis === true) await shutDownRedis(left.redisUrl);
}

async function useGivenRedis(url: string): Promise<string> {
  // Loaded only where it is needed: the driver would add a tenth to the time of a warm start.
  const { probeRedis } = await import('./redis-probe.ts');
  const problem = await probeRedis(url);
  if (problem === undefined) return url;
  throw new UserError(`The Redis that MILLRACE_REDIS_URL names cannot be used: ${problem}.`);
}

async function runRedis(launch: Launch, source: Exclude<RedisSource, { kind: 'url' }>): Promise<string> {
  const { home, lifecycle, crew } = launch;
  if (source.kind === 'docker') await fetchImage(launch, source.command);
  const redis = prepareRedis(source, join(home, 'redis'), await freePort());
  const { command, args, url } = redis;
  const beforeRestart = () => shutDownRedis(url);
  const member = { name: 'redis', command, args, env: process.env, stopTimeoutMs: redisStopTimeoutMs };
  await lifecycle.start(
    'redis',
    () => crew.start({ ...member, beforeRestart }),
    (child) => child.stop(),
  );
  return url;
}

/** Before it is run, so that a slow network is not taken for a Redis that does not start. */
async function fetchImage({ output }: Launch, docker: string): Promise<void> {
  const path = process.env['PATH'] ?? '';
  const known = await runQuietly(docker, ['image', 'inspect', dockerImage], path, fetchTimeoutMs);
  if (known.succeeded) return;
  output.line(`  … fetching the image ${dockerImage} with Docker`);
  const fetched = await runQuietly(docker, ['pull', '--quiet', dockerImage], path, fetchTimeoutMs);
  if (!fetched.succeeded) throw new UserError(`Docker could not fetch the image ${dockerImage}.`);
}

function describeSource(source: RedisSource, home: string): string {
  if (source.kind === 'url') return 'the one that MILLRACE_REDIS_URL names';
  const data = `data in ${shorten(join(home, 'redis'))}`;
  if (source.kind === 'docker') return `in Docker, ${data}`;
  const { product, version, path } = source.binary;
  return `${product === 'Redis' ? '' : `${product} `}${version} (${path}), ${data}`;
}
