import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { packageRoot } from '../../src/dev/package-root.ts';
import { commandOf, descendantsOf } from './processes.ts';

/** A running `npm start`. */
export interface Launched {
  readonly pid: number;
  readonly output: string;
  /** Resolves at the line `ready …`. Rejects, with the output, when it ends before. */
  ready(): Promise<void>;
  /** Resolves once the output matches. Rejects when it ends before. */
  said(pattern: RegExp): Promise<void>;
  /** Its process ids, by script or program: `src/api/main.ts`, `redis-server`. */
  child(part: string): number;
  /** The ids of all processes below it. */
  descendants(): readonly number[];
  signal(signal: NodeJS.Signals): void;
  /** Resolves with the exit code, or the signal that ended it. */
  ended(): Promise<number | NodeJS.Signals>;
}

const nodeCommand: readonly string[] = [process.execPath, join(packageRoot, 'src/dev/main.ts')];

/** Without npm unless the command says so. */
export function launch(env: Readonly<Record<string, string>>, command = nodeCommand): Launched {
  const inherited = Object.entries(process.env).filter(([name]) => !name.startsWith('MILLRACE_'));
  const child = spawn(command[0]!, command.slice(1), {
    cwd: packageRoot,
    env: {
      ...Object.fromEntries(inherited),
      MILLRACE_API_ADMIN_PORT: '0',
      MILLRACE_WORKER_ADMIN_PORT: '0',
      MILLRACE_WORKER_HOSTS: '1',
      ...env,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  const readers = new Set<() => void>();
  const notify = () => {
    for (const reader of readers) reader();
  };
  const read = (chunk: string) => {
    output += chunk;
    notify();
  };
  child.stdout.setEncoding('utf8').on('data', read);
  child.stderr.setEncoding('utf8').on('data', read);
  let isOver = false;
  const over = once(child, 'close').then(([code, signal]) => {
    isOver = true;
    notify();
    return (code ?? signal) as number | NodeJS.Signals;
  });

  function said(pattern: RegExp): Promise<void> {
    return new Promise((resolve, reject) => {
      const reader = () => {
        const matches = pattern.test(output);
        if (!matches && !isOver) return;
        readers.delete(reader);
        if (matches) resolve();
        else reject(new Error(`ended before it said ${pattern}:\n${output}`));
      };
      readers.add(reader);
      reader();
    });
  }

  return {
    pid: child.pid!,
    get output() {
      return output;
    },
    said,
    ready: () => said(/^ready /m),
    child(part) {
      // The program or the script that it runs; what comes after are arguments, of a keeper for one.
      const names = (pid: number) => commandOf(pid).split(' ').slice(0, 2);
      const found = descendantsOf(child.pid!).find((pid) => names(pid).some((name) => name.endsWith(part)));
      if (found === undefined) throw new Error(`no process ${part} below the launcher`);
      return found;
    },
    descendants: () => descendantsOf(child.pid!),
    signal: (signal) => void child.kill(signal),
    ended: () => over,
  };
}
