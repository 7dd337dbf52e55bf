import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';

/** Long enough for a launcher that is just letting go, short enough not to be noticed. */
const lockWaitMs = 200;

export interface RunLock {
  release(): void;
}

/**
 * The right to run a system from this home: one launcher at a time. SQLite's lock on an empty file is held by
 * the process itself, so the kernel drops it however the process ends: no stale lock, no process id to judge.
 * Returns `undefined` when another launcher has it.
 */
export function acquireRunLock(home: string): RunLock | undefined {
  const database = new DatabaseSync(join(home, 'run.lock'), { timeout: lockWaitMs });
  try {
    database.exec('BEGIN EXCLUSIVE');
  } catch (error) {
    database.close();
    if ((error as { errcode?: number }).errcode === sqliteBusy) return undefined;
    throw error;
  }
  return { release: () => database.close() };
}

const sqliteBusy = 5;
