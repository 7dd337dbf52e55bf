import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { packageRoot } from '../../src/dev/package-root.ts';

/** One API or worker, as it runs in production: a process of its own, started by its main file. */
export interface StackProcess {
  readonly name: string;
  readonly pid: number;
  readonly running: boolean;
  /** Of the process that ended last; null while none has, or when a signal ended it. */
  readonly exitCode: number | null;
  /** Aborts when the process that runs now has ended. */
  readonly ended: AbortSignal;
  /** All it wrote to stdout and stderr since its first start. */
  readonly log: string;
  /** Resolves once a line of the log, past or to come, matches. Rejects when the process ends before. */
  logged(pattern: RegExp): Promise<void>;
  /** Sends the signal and waits for the end. */
  kill(signal: NodeJS.Signals): Promise<void>;
  /** Sends the signal and goes on. */
  signal(signal: NodeJS.Signals): void;
  /** Starts it again once it has ended. The caller waits until it is ready. */
  start(): void;
  /** SIGTERM; past the timeout SIGKILL, and an error that shows the log. */
  stop(): Promise<void>;
}

export interface StackProcessOptions {
  readonly name: string;
  /** From the root of the package, as in `src/api/main.ts`. */
  readonly script: string;
  readonly env: NodeJS.ProcessEnv;
}

/** The default shutdown_grace_ms of 10 s, and the time to notice. */
const stopTimeoutMs = 15_000;

export function startStackProcess({ name, script, env }: StackProcessOptions): StackProcess {
  let child: ChildProcess | undefined;
  let ended = new AbortController();
  let exitCode: number | null = null;
  let log = '';
  const readers = new Set<() => void>();

  function start(): void {
    // The open pipe to stdin ends the process with this one, also when a test run is killed.
    const started = spawn(process.execPath, [script], {
      cwd: packageRoot,
      env: { ...env, MILLRACE_SUPERVISED: '1' },
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    child = started;
    const end = new AbortController();
    ended = end;
    const append = (chunk: string) => {
      log += chunk;
      notify();
    };
    started.stdin.on('error', () => undefined);
    started.stdout.setEncoding('utf8').on('data', append);
    started.stderr.setEncoding('utf8').on('data', append);
    started.once('close', (code: number | null) => {
      exitCode = code;
      if (child === started) child = undefined;
      end.abort();
      notify();
    });
  }

  function notify(): void {
    for (const reader of readers) reader();
  }

  function logged(pattern: RegExp): Promise<void> {
    return new Promise((resolve, reject) => {
      const reader = () => {
        const found = log.split('\n').some((line) => pattern.test(line));
        if (!found && child !== undefined) return;
        readers.delete(reader);
        if (found) resolve();
        else reject(new Error(`${name} ended before it logged ${pattern}:\n${log}`));
      };
      readers.add(reader);
      reader();
    });
  }

  async function kill(signal: NodeJS.Signals): Promise<void> {
    if (child === undefined) return;
    const closed = once(child, 'close');
    child.kill(signal);
    await closed;
  }

  async function stop(): Promise<void> {
    let late = false;
    const running = child;
    const timeout = setTimeout(() => {
      late = true;
      running?.kill('SIGKILL');
    }, stopTimeoutMs);
    await kill('SIGTERM');
    clearTimeout(timeout);
    if (late) throw new Error(`${name} was still there ${stopTimeoutMs} ms after SIGTERM:\n${log}`);
  }

  start();
  return {
    name,
    get pid() {
      if (child?.pid === undefined) throw new Error(`${name} does not run`);
      return child.pid;
    },
    get running() {
      return child !== undefined;
    },
    get exitCode() {
      return exitCode;
    },
    get ended() {
      return ended.signal;
    },
    get log() {
      return log;
    },
    logged,
    kill,
    signal: (signal) => void child?.kill(signal),
    start,
    stop,
  };
}
