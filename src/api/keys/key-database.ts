import { mkdirSync } from 'node:fs';
import { dirname } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { MillraceError } from '../../errors.ts';

/** Another process may be writing: writes take well under a millisecond, so this is never waited out. */
const busyTimeoutMs = 1000;

/** Opens the file that keys and secrets share; makes it, readable by its owner only, where there is none. */
export function openKeyDatabase(path: string, schema: string): DatabaseSync {
  mkdirSync(dirname(path), { recursive: true });
  const umask = process.umask(0o077);
  try {
    return reaching(() => {
      const database = new DatabaseSync(path, { timeout: busyTimeoutMs });
      database.exec('PRAGMA journal_mode = WAL');
      database.exec(schema);
      return database;
    });
  } finally {
    process.umask(umask);
  }
}

/** Throws `service_unavailable` for whatever SQLite throws. */
export function reaching<T>(work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw new MillraceError('service_unavailable', 'The key store is out of reach', { cause: error });
  }
}
