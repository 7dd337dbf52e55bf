import { spawn } from 'node:child_process';
import type { ChildProcessWithoutNullStreams } from 'node:child_process';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { packageRoot } from '../../../src/dev/package-root.ts';
import type { ProgramEnd } from '../../support/run-program.ts';

/** A `millrace …` that runs: its streams, what it has written, and its end. */
export interface RunningCli {
  readonly child: ChildProcessWithoutNullStreams;
  readonly stdout: string;
  readonly stderr: string;
  readonly ended: Promise<ProgramEnd>;
  /** Resolves once stdout or stderr holds it. Rejects when the process ends before. */
  wrote(stream: 'stdout' | 'stderr', pattern: RegExp): Promise<void>;
}

export interface CliOptions {
  readonly env?: NodeJS.ProcessEnv;
  readonly cwd?: string;
}

/** Without what the caller's own environment or folder would add. */
export function startCli(args: readonly string[], { env = {}, cwd = tmpdir() }: CliOptions = {}): RunningCli {
  const child = spawn(process.execPath, [`${packageRoot}bin/millrace.cjs`, ...args], {
    cwd,
    env: { PATH: process.env['PATH'], MILLRACE_HOME: '/nonexistent', ...env },
  });
  let stdout = '';
  let stderr = '';
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => (stdout += chunk));
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => (stderr += chunk));
  // A command that has ended does not read its stdin.
  child.stdin.on('error', () => undefined);
  const ended = once(child, 'close').then(([code, signal]) => ({
    code: code as number | null,
    signal: signal as NodeJS.Signals | null,
    stdout,
    stderr,
  }));
  return {
    child,
    get stdout() {
      return stdout;
    },
    get stderr() {
      return stderr;
    },
    ended,
    wrote(stream, pattern) {
      return new Promise((resolve, reject) => {
        const look = () => {
          if (pattern.test(stream === 'stdout' ? stdout : stderr)) resolve();
        };
        child[stream].on('data', look);
        look();
        void ended.then((end) => reject(new Error(`it ended before: ${JSON.stringify(end)}`)));
      });
    },
  };
}

/** To its end, with this on stdin. */
export function runCli(
  args: readonly string[],
  options: CliOptions & { readonly stdin?: string } = {},
): Promise<ProgramEnd> {
  const { child, ended } = startCli(args, options);
  child.stdin.end(options.stdin ?? '');
  return ended;
}
