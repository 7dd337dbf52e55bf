import { randomBytes } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { RedisSource } from './find-redis.ts';

export interface EmbeddedRedis {
  /** With its password. */
  readonly url: string;
  readonly command: string;
  readonly args: readonly string[];
}

const keeper = fileURLToPath(new URL('./keeper.ts', import.meta.url));
export const dockerImage = 'redis:7.2-bookworm';
const passwordBytes = 24;

/**
 * Writes the configuration of a Redis with its data in `folder`, and says how to run it. The port is private to
 * this run and the password to its configuration file, since every user of the machine reaches loopback.
 */
export function prepareRedis(
  source: Exclude<RedisSource, { kind: 'url' }>,
  folder: string,
  port: number,
): EmbeddedRedis {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const password = randomBytes(passwordBytes).toString('base64url');
  const configFile = join(folder, 'redis.conf');
  const inContainer = source.kind === 'docker';
  const place = inContainer
    ? { bind: '0.0.0.0', port: containerPort, folder: '.' }
    : { bind: '127.0.0.1', port, folder };
  writeFileSync(configFile, redisConfig({ ...place, password }), { mode: 0o600 });
  const run = inContainer ? [source.command, ...dockerArgs(folder, port)] : [source.binary.path, configFile];
  return {
    url: `redis://:${password}@127.0.0.1:${port}`,
    command: process.execPath,
    args: [keeper, ...run],
  };
}

const containerPort = 6379;

/**
 * Published on loopback only; as the user who owns the folder, or it could not read its configuration. The folder
 * is where the image's programs start.
 */
function dockerArgs(folder: string, port: number): readonly string[] {
  const user = `${process.getuid?.() ?? 0}:${process.getgid?.() ?? 0}`;
  const publish = `127.0.0.1:${port}:${containerPort}`;
  const mount = `type=bind,source=${folder},target=/data`;
  const run = ['run', '--rm', '--init', '--user', user, '--publish', publish, '--mount', mount];
  return [...run, dockerImage, 'redis-server', '/data/redis.conf'];
}

export interface RedisConfig {
  readonly bind: string;
  readonly port: number;
  readonly folder: string;
  readonly password: string;
}

/**
 * AOF, since a job that was accepted must survive a crash; no snapshots, which would only double the writes;
 * noeviction, because a queue must refuse rather than forget.
 */
export function redisConfig({ bind, port, folder, password }: RedisConfig): string {
  const lines = [
    ['bind', bind],
    ['port', String(port)],
    ['requirepass', password],
    ['dir', folder],
    ['daemonize', 'no'],
    ['appendonly', 'yes'],
    ['appendfsync', 'everysec'],
    ['save', ''],
    ['maxmemory-policy', 'noeviction'],
  ] as const;
  return lines.map(([key, value]) => `${key} ${quote(value)}\n`).join('');
}

/** Redis reads double-quoted values with backslash escapes: a folder may have spaces and quotes in its name. */
function quote(value: string): string {
  return `"${value.replaceAll('\\', '\\\\').replaceAll('"', '\\"')}"`;
}
