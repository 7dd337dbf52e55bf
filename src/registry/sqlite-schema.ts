import type { DatabaseSync } from 'node:sqlite';
import { MillraceError } from '../errors.ts';

/** Step n takes a file from user_version n to n + 1. Steps are never changed once released, only added. */
const migrations: readonly string[] = [
  `CREATE TABLE models (
     name TEXT PRIMARY KEY NOT NULL
   ) STRICT, WITHOUT ROWID;
   CREATE TABLE versions (
     model TEXT NOT NULL REFERENCES models (name),
     version TEXT NOT NULL,
     ordinal INTEGER NOT NULL,
     digest TEXT NOT NULL,
     served_digest TEXT NOT NULL,
     artifact_bytes INTEGER NOT NULL,
     manifest TEXT NOT NULL,
     signature TEXT NOT NULL,
     labels TEXT NOT NULL,
     roles TEXT NOT NULL,
     status TEXT NOT NULL,
     created_at_ms INTEGER NOT NULL,
     created_by TEXT NOT NULL,
     PRIMARY KEY (model, version)
   ) STRICT, WITHOUT ROWID;
   CREATE TABLE aliases (
     model TEXT NOT NULL,
     alias TEXT NOT NULL,
     version TEXT NOT NULL,
     PRIMARY KEY (model, alias),
     FOREIGN KEY (model, version) REFERENCES versions (model, version)
   ) STRICT, WITHOUT ROWID;
   CREATE TABLE revision (
     id INTEGER PRIMARY KEY CHECK (id = 1),
     value INTEGER NOT NULL
   ) STRICT;
   INSERT INTO revision VALUES (1, 0);`,
];

/** Brings the file up to date. Processes that start together take turns: each looks again inside its turn. */
export function migrate(db: DatabaseSync): void {
  if (versionOf(db) === migrations.length) return;
  db.exec('BEGIN IMMEDIATE');
  try {
    const from = versionOf(db);
    if (from > migrations.length)
      throw new MillraceError('bad_gateway', 'The registry was written by a newer release');
    for (const step of migrations.slice(from)) db.exec(step);
    db.exec(`PRAGMA user_version = ${migrations.length}`);
    db.exec('COMMIT');
  } catch (error) {
    db.exec('ROLLBACK');
    throw error;
  }
}

function versionOf(db: DatabaseSync): number {
  return Number(db.prepare('PRAGMA user_version').get()?.['user_version']);
}
