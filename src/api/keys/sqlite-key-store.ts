import type { DatabaseSync, SQLOutputValue, StatementSync } from 'node:sqlite';
import { MillraceError } from '../../errors.ts';
import { openKeyDatabase, reaching } from './key-database.ts';
import type { KeyRecord, KeyStore } from './key-store.ts';
import { isScope } from './scopes.ts';

const schema = `
  CREATE TABLE IF NOT EXISTS keys (
    id TEXT PRIMARY KEY,
    secret_digest BLOB NOT NULL,
    name TEXT NOT NULL,
    scopes TEXT NOT NULL,
    rate_per_minute INTEGER,
    created_at_ms INTEGER NOT NULL,
    expires_at_ms INTEGER,
    revoked_at_ms INTEGER
  ) STRICT
`;

type Row = Readonly<Record<string, SQLOutputValue>>;

/** A file that all processes on the machine share. Reads see what others have committed. */
export class SqliteKeyStore implements KeyStore {
  readonly #database: DatabaseSync;
  readonly #get: StatementSync;
  readonly #list: StatementSync;
  readonly #insert: StatementSync;
  readonly #revoke: StatementSync;

  /** Creates the file, readable by its owner only, where there is none. */
  constructor(path: string) {
    this.#database = openKeyDatabase(path, schema);
    this.#get = this.#database.prepare('SELECT * FROM keys WHERE id = ?');
    this.#list = this.#database.prepare('SELECT * FROM keys ORDER BY created_at_ms, id');
    this.#insert = this.#database.prepare(
      'INSERT INTO keys VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING',
    );
    this.#revoke = this.#database.prepare(
      'UPDATE keys SET revoked_at_ms = ? WHERE id = ? AND revoked_at_ms IS NULL',
    );
  }

  async create(record: KeyRecord): Promise<void> {
    const { changes } = reaching(() =>
      this.#insert.run(
        record.id,
        record.secretDigest,
        record.name,
        record.scopes.join(' '),
        record.ratePerMinute,
        record.createdAtMs,
        record.expiresAtMs,
        record.revokedAtMs,
      ),
    );
    if (Number(changes) === 0) throw new MillraceError('conflict', `There is a key ${record.id} already`);
  }

  async get(id: string): Promise<KeyRecord | undefined> {
    const row = reaching(() => this.#get.get(id));
    return row === undefined ? undefined : toRecord(row);
  }

  async list(): Promise<readonly KeyRecord[]> {
    return reaching(() => this.#list.all()).map(toRecord);
  }

  async revoke(id: string, atMs: number): Promise<'revoked' | 'already_revoked' | 'unknown'> {
    const { changes } = reaching(() => this.#revoke.run(atMs, id));
    if (Number(changes) > 0) return 'revoked';
    return (await this.get(id)) === undefined ? 'unknown' : 'already_revoked';
  }

  async close(): Promise<void> {
    this.#database.close();
  }
}

function toRecord(row: Row): KeyRecord {
  return {
    id: String(row['id']),
    secretDigest: row['secret_digest'] as Uint8Array,
    name: String(row['name']),
    scopes: String(row['scopes']).split(' ').filter(isScope),
    ratePerMinute: numberOrNull(row['rate_per_minute']),
    createdAtMs: Number(row['created_at_ms']),
    expiresAtMs: numberOrNull(row['expires_at_ms']),
    revokedAtMs: numberOrNull(row['revoked_at_ms']),
  };
}

function numberOrNull(value: SQLOutputValue | undefined): number | null {
  return value === null || value === undefined ? null : Number(value);
}
