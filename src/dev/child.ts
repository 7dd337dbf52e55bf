import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { closeSync } from 'node:fs';
import { openLog, rotateLog } from './log-file.ts';
import { createRestartDelay } from './restart-delay.ts';

export interface ChildOptions {
  readonly name: string;
  readonly command: string;
  readonly args: readonly string[];
  readonly env: NodeJS.ProcessEnv;
  readonly cwd: string;
  readonly logFile: string;
  /** Time between SIGTERM and SIGKILL. */
  readonly stopTimeoutMs: number;
  /** The child ended without being told to. Returns whether to start it again. */
  readonly onDeath: (death: ChildDeath) => 'restart' | 'leave';
  /** Awaited before a restart: clears what the dead child left behind. */
  readonly beforeRestart?: () => Promise<void>;
}

export interface ChildDeath {
  readonly name: string;
  /** As in `exit code 1` or `SIGKILL`. */
  readonly reason: string;
  readonly restartDelayMs: number;
  readonly logFile: string;
}

/**
 * A child process that is kept running: running → waiting (for its restart) → running … → stopped.
 * It has a process group of its own, so that a Ctrl-C in the terminal reaches the launcher only, and a pipe to
 * its stdin, whose end tells it that the launcher is gone.
 */
export interface Child {
  readonly name: string;
  /** SIGTERM, then SIGKILL past the timeout; resolves once it has ended. It is not started again. */
  stop(): Promise<void>;
  /** SIGKILL to its whole group, now. */
  kill(): void;
}

export function startChild(options: ChildOptions): Child {
  const restartDelay = createRestartDelay();
  let running: ChildProcess | undefined;
  let restart: NodeJS.Timeout | undefined;
  let stopped = false;

  rotateLog(options.logFile);
  start();
  return { name: options.name, stop, kill };

  function start(): void {
    const startedAtMs = performance.now();
    const child = spawnChild(options);
    running = child;
    const onEnd = (reason: string) => {
      if (running !== child) return;
      running = undefined;
      if (stopped) return;
      const restartDelayMs = restartDelay.next(performance.now() - startedAtMs);
      const { name, logFile } = options;
      if (options.onDeath({ name, reason, restartDelayMs, logFile }) === 'restart')
        restart = setTimeout(() => void startAgain(), restartDelayMs);
    };
    child.once('exit', (code, signal) => onEnd(signal ?? `exit code ${code}`));
    child.once('error', (error) => onEnd(error.message));
  }

  async function startAgain(): Promise<void> {
    await options.beforeRestart?.();
    if (!stopped) start();
  }

  async function stop(): Promise<void> {
    stopped = true;
    clearTimeout(restart);
    const child = running;
    if (child === undefined) return;
    const exited = once(child, 'exit');
    child.kill('SIGTERM');
    const timeout = setTimeout(kill, options.stopTimeoutMs);
    await exited;
    clearTimeout(timeout);
  }

  function kill(): void {
    stopped = true;
    if (running?.pid !== undefined) killGroup(running.pid);
  }
}

function spawnChild(options: ChildOptions): ChildProcess {
  const log = openLog(options.logFile);
  try {
    const child = spawn(options.command, options.args, {
      cwd: options.cwd,
      env: options.env,
      detached: true,
      stdio: ['pipe', log, log],
    });
    // The pipe is only held open; a child that is gone closes its end.
    child.stdin?.on('error', () => undefined);
    return child;
  } finally {
    closeSync(log);
  }
}

function killGroup(pid: number): void {
  try {
    process.kill(-pid, 'SIGKILL');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}
