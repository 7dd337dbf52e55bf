import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { findRedisBinary } from '../../src/dev/find-redis.ts';
import { freePort } from '../../src/dev/ports.ts';

export { freePort };

/** A redis-server of the test's own, on a free loopback port, with its data in a temporary folder. */
export interface TestRedis {
  readonly url: string;
  readonly port: number;
  readonly pid: number;
  /** SIGKILL, without clean-up: start again with `restart`. */
  kill(): Promise<void>;
  /** A new server on the same port with the same data. */
  restart(): Promise<void>;
  stop(): Promise<void>;
}

/** `extra` are further arguments of redis-server, as in `['--maxmemory', '16mb']`. AOF everysec is on. */
export async function startRedis(extra: readonly string[] = []): Promise<TestRedis> {
  const dir = await mkdtemp(join(tmpdir(), 'millrace-redis-'));
  const port = await freePort();
  let child = await launch(port, dir, extra);
  return {
    url: `redis://127.0.0.1:${port}`,
    port,
    get pid() {
      return child.pid as number;
    },
    kill: () => end(child, 'SIGKILL'),
    restart: async () => {
      child = await launch(port, dir, extra);
    },
    stop: async () => {
      await end(child, 'SIGTERM');
      await rm(dir, { recursive: true, force: true });
    },
  };
}

async function launch(port: number, dir: string, extra: readonly string[]): Promise<ChildProcess> {
  const args = [
    '--port',
    String(port),
    '--bind',
    '127.0.0.1',
    '--dir',
    dir,
    '--save',
    '',
    '--appendonly',
    'yes',
  ];
  const binary = await findRedisBinary(process.env['PATH'] ?? '');
  if (binary === undefined) throw new Error('no redis-server or valkey-server on the PATH');
  const child = spawn(binary.path, [...args, '--enable-debug-command', 'yes', ...extra], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let log = '';
  await new Promise<void>((resolve, reject) => {
    child.stdout.on('data', (chunk: Buffer) => {
      log += chunk.toString();
      if (log.includes('Ready to accept connections')) resolve();
    });
    child.once('exit', (code) =>
      reject(new Error(`redis-server ended with ${code} before it was ready:\n${log}`)),
    );
    child.once('error', reject);
  });
  child.stdout.removeAllListeners('data');
  child.stdout.resume();
  return child;
}

async function end(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, 'exit');
  child.kill(signal);
  await exited;
}
