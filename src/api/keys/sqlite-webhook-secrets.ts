import type { DatabaseSync, SQLOutputValue, StatementSync } from 'node:sqlite';
import { openKeyDatabase, reaching } from './key-database.ts';
import type { WebhookSecret, WebhookSecrets } from './webhook-secrets.ts';

/** The index lets an owner have one current secret. Owners are ids of keys. */
const schema = `
  CREATE TABLE IF NOT EXISTS webhook_secrets (
    id INTEGER PRIMARY KEY,
    owner TEXT NOT NULL,
    secret TEXT NOT NULL,
    created_at_ms INTEGER NOT NULL,
    expires_at_ms INTEGER
  ) STRICT;
  CREATE INDEX IF NOT EXISTS webhook_secrets_by_owner ON webhook_secrets (owner);
  CREATE UNIQUE INDEX IF NOT EXISTS current_webhook_secret ON webhook_secrets (owner) WHERE expires_at_ms IS NULL
`;

/** A signature of each is sent: some 50 characters. Nobody rotates so often on purpose. */
const secretsKeptMax = 5;

/** In the file of the keys: who can read one can read the other. */
export class SqliteWebhookSecrets implements WebhookSecrets {
  readonly #database: DatabaseSync;
  readonly #list: StatementSync;
  readonly #insert: StatementSync;
  readonly #expire: StatementSync;
  readonly #forget: StatementSync;

  constructor(path: string) {
    this.#database = openKeyDatabase(path, schema);
    this.#list = this.#database.prepare(
      'SELECT * FROM webhook_secrets WHERE owner = ? AND (expires_at_ms IS NULL OR expires_at_ms > ?) ORDER BY id DESC',
    );
    this.#insert = this.#database.prepare(
      'INSERT INTO webhook_secrets (owner, secret, created_at_ms) VALUES (?, ?, ?) ON CONFLICT DO NOTHING',
    );
    this.#expire = this.#database.prepare(
      'UPDATE webhook_secrets SET expires_at_ms = ? WHERE owner = ? AND expires_at_ms IS NULL',
    );
    this.#forget = this.#database.prepare(
      `DELETE FROM webhook_secrets WHERE owner = ?1 AND (expires_at_ms <= ?2 OR id NOT IN (
        SELECT id FROM webhook_secrets WHERE owner = ?1 ORDER BY id DESC LIMIT ${secretsKeptMax}))`,
    );
  }

  async ensure(owner: string, fresh: string, nowMs: number): Promise<readonly WebhookSecret[]> {
    return reaching(() => {
      const known = this.#current(owner, nowMs);
      if (known.length > 0) return known;
      this.#insert.run(owner, fresh, nowMs);
      return this.#current(owner, nowMs);
    });
  }

  async rotate(
    owner: string,
    fresh: string,
    nowMs: number,
    previousUntilMs: number,
  ): Promise<readonly WebhookSecret[]> {
    return reaching(() => {
      this.#database.exec('BEGIN IMMEDIATE');
      try {
        this.#expire.run(previousUntilMs, owner);
        this.#insert.run(owner, fresh, nowMs);
        this.#forget.run(owner, nowMs);
        this.#database.exec('COMMIT');
      } catch (error) {
        this.#database.exec('ROLLBACK');
        throw error;
      }
      return this.#current(owner, nowMs);
    });
  }

  async close(): Promise<void> {
    this.#database.close();
  }

  #current(owner: string, nowMs: number): readonly WebhookSecret[] {
    return this.#list.all(owner, nowMs).map(toSecret);
  }
}

function toSecret(row: Readonly<Record<string, SQLOutputValue>>): WebhookSecret {
  const expiresAtMs = row['expires_at_ms'];
  return {
    secret: String(row['secret']),
    createdAtMs: Number(row['created_at_ms']),
    expiresAtMs: expiresAtMs === null || expiresAtMs === undefined ? null : Number(expiresAtMs),
  };
}
