import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { openSync } from 'node:fs';
import { join } from 'node:path';

/** A process that the bench measures, with its output in a file: reading a pipe would cost the bench a core. */
export interface Subject {
  readonly pid: number;
  stop(): Promise<void>;
}

export interface SubjectOptions {
  readonly name: string;
  readonly command: string;
  readonly args: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** Where the output goes, as `<name>.log`. */
  readonly folder: string;
}

export function startSubject(options: SubjectOptions): Subject {
  const log = openSync(join(options.folder, `${options.name}.log`), 'w');
  const child = spawn(options.command, options.args, {
    stdio: ['ignore', log, log],
    env: { ...process.env, ...options.env },
  });
  return { pid: child.pid as number, stop: () => stop(child) };
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, 'exit');
  child.kill('SIGTERM');
  await exited;
}

const readyTimeoutMs = 30_000;
const pollMs = 50;

/** Asks until the answer is 200. Throws after half a minute. */
export async function untilOk(url: string, init: RequestInit = {}): Promise<void> {
  const giveUp = AbortSignal.timeout(readyTimeoutMs);
  for (;;) {
    const response = await fetch(url, { ...init, signal: giveUp }).catch(() => undefined);
    await response?.arrayBuffer();
    if (response?.status === 200) return;
    giveUp.throwIfAborted();
    await new Promise((resolve) => setTimeout(resolve, pollMs));
  }
}
