import { readFileSync } from 'node:fs';
import { join } from 'node:path';

/** What a running `npm start` leaves in `$MILLRACE_HOME/run.json` (mode 600) for those who join it. */
export interface RunFile {
  readonly pid: number;
  readonly startedAtMs: number;
  /** With its password. */
  readonly redisUrl: string;
  /** The launcher runs this Redis itself, from its home: nobody else's data is in it. */
  readonly embeddedRedis: boolean;
  readonly apiUrl: string;
}

export function runFilePath(home: string): string {
  return join(home, 'run.json');
}

/** The development key in plain text, for its owner alone. */
export function devKeyFile(home: string): string {
  return join(home, 'dev-key');
}

/** The run file of a launcher that still lives; one left behind by a crash counts as absent. */
export function readRunFile(home: string): RunFile | undefined {
  const run = parseRunFile(home);
  return run !== undefined && isAlive(run.pid) ? run : undefined;
}

/** For `npm run worker` and `npm run api`: where the system that runs from this home has its Redis. */
export function redisUrlFromRunFile(home: string): string | undefined {
  return readRunFile(home)?.redisUrl;
}

/** The run file as it lies there, whether its launcher lives or not. */
export function parseRunFile(home: string): RunFile | undefined {
  try {
    const run = JSON.parse(readFileSync(runFilePath(home), 'utf8')) as Partial<RunFile>;
    const { pid, startedAtMs, redisUrl, apiUrl, embeddedRedis = false } = run;
    if (typeof pid !== 'number' || typeof startedAtMs !== 'number') return undefined;
    if (typeof redisUrl !== 'string' || typeof apiUrl !== 'string') return undefined;
    return { pid, startedAtMs, redisUrl, embeddedRedis, apiUrl };
  } catch {
    return undefined;
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
