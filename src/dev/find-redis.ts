import { accessSync, constants, statSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { packageManagers } from './package-managers.ts';
import type { PackageManager } from './package-managers.ts';
import { runQuietly } from './run-quietly.ts';

export interface RedisBinary {
  readonly path: string;
  readonly product: 'Redis' | 'Valkey';
  readonly version: string;
}

export type RedisSource =
  | { readonly kind: 'url'; readonly url: string }
  | { readonly kind: 'binary'; readonly binary: RedisBinary }
  | { readonly kind: 'docker'; readonly command: string };

export type FindRedisOutcome = RedisSource | { readonly kind: 'none'; readonly sentence: string };

export interface FindRedisOptions {
  /** Of a Redis that somebody else runs: taken as it is. */
  readonly url: string | undefined;
  /** Folders to search, as in $PATH. */
  readonly path: string;
  readonly isRoot: boolean;
  /** Whether a container will do; the tests need a server that they can kill. */
  readonly allowDocker: boolean;
  /** Called with what is about to be done, before anything is installed. */
  readonly announce: (sentence: string) => void;
}

/** BullMQ warns below 6.2; RESP3, which ioredis speaks, needs 6.0. Valkey starts at 7.2. */
const versionMin = [6, 2] as const;
const probeTimeoutMs = 5_000;
const installTimeoutMs = 300_000;

/** In this order: a given address, a binary on the path, the system's package manager, Docker. */
export async function findRedis(options: FindRedisOptions): Promise<FindRedisOutcome> {
  if (options.url !== undefined) return { kind: 'url', url: options.url };
  const binary = (await findRedisBinary(options.path)) ?? (await installRedis(options));
  if (binary !== undefined) return { kind: 'binary', binary };
  const docker = options.allowDocker ? await findDocker(options.path) : undefined;
  if (docker !== undefined) return { kind: 'docker', command: docker };
  return { kind: 'none', sentence: advice(options) };
}

export async function findRedisBinary(path: string): Promise<RedisBinary | undefined> {
  for (const name of ['redis-server', 'valkey-server']) {
    for (const file of executables(name, path)) {
      const binary = await probe(file, path);
      if (binary !== undefined) return binary;
    }
  }
  return undefined;
}

/** Prints as in `Redis server v=7.0.15 sha=…` or `Valkey server v=8.0.1 sha=…`. */
async function probe(file: string, path: string): Promise<RedisBinary | undefined> {
  const { stdout } = await runQuietly(file, ['--version'], path, probeTimeoutMs);
  const found = /^(Redis|Valkey) server v=(\d+)\.(\d+)(\.\d+)?/.exec(stdout);
  if (found === null) return undefined;
  const [, product, major, minor, patch = ''] = found;
  if (!isRecent(Number(major), Number(minor))) return undefined;
  return { path: file, product: product as RedisBinary['product'], version: `${major}.${minor}${patch}` };
}

function isRecent(major: number, minor: number): boolean {
  return major > versionMin[0] || (major === versionMin[0] && minor >= versionMin[1]);
}

async function installRedis(options: FindRedisOptions): Promise<RedisBinary | undefined> {
  const manager = findPackageManager(options.path);
  if (manager === undefined) return undefined;
  const prefix = await privilege(manager, options);
  if (prefix === undefined) return undefined;
  options.announce('no Redis here yet');
  for (const args of manager.attempts) {
    const command = [...prefix, manager.command, ...args];
    options.announce(`running \`${command.join(' ')}\``);
    await runQuietly(command[0]!, command.slice(1), options.path, installTimeoutMs);
    const binary = await findRedisBinary(options.path);
    if (binary !== undefined) return binary;
  }
  return undefined;
}

function findPackageManager(path: string): PackageManager | undefined {
  return packageManagers.find(({ command }) => executables(command, path).length > 0);
}

/** What to put before the command, or `undefined` when it would have to ask for a password. */
async function privilege(
  manager: PackageManager,
  options: FindRedisOptions,
): Promise<readonly string[] | undefined> {
  if (!manager.needsRoot || options.isRoot) return [];
  const sudo = await runQuietly('sudo', ['-n', 'true'], options.path, probeTimeoutMs);
  return sudo.succeeded ? ['sudo', '-n'] : undefined;
}

/** A Docker whose engine answers: the command alone is no use. */
async function findDocker(path: string): Promise<string | undefined> {
  for (const file of executables('docker', path))
    if ((await runQuietly(file, ['info'], path, probeTimeoutMs)).succeeded) return file;
  return undefined;
}

function advice(options: FindRedisOptions): string {
  const manager = findPackageManager(options.path);
  const sudo = manager?.needsRoot === true && !options.isRoot ? 'sudo ' : '';
  const example =
    manager === undefined ? '' : ` (for example: \`${sudo}${manager.command} ${manager.advice}\`)`;
  const otherwise = options.allowDocker ? ', or set MILLRACE_REDIS_URL to one that runs' : '';
  return (
    `Millrace needs Redis ${versionMin.join('.')} or newer and found none: ` +
    `install redis-server or valkey-server${example}${otherwise}.`
  );
}

function executables(name: string, path: string): readonly string[] {
  return path
    .split(delimiter)
    .filter((folder) => folder !== '')
    .map((folder) => join(folder, name))
    .filter(isExecutable);
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return statSync(file).isFile();
  } catch {
    return false;
  }
}
