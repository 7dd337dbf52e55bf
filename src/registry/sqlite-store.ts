import { DatabaseSync } from 'node:sqlite';
import type { SQLOutputValue, StatementSync } from 'node:sqlite';
import { MillraceError } from '../errors.ts';
import { deepFreeze } from './manifest-schema.ts';
import { defaultAlias } from './model-ref.ts';
import type { Model, ModelVersion } from './model-version.ts';
import { migrate } from './sqlite-schema.ts';
import { isSameVersion } from './store.ts';
import type { ModelStore, PutVersionOutcome, VersionDraft } from './store.ts';

type Row = Record<string, SQLOutputValue>;

/** A writer waits this long for another process's transaction, which takes milliseconds. */
const busyTimeoutMs = 5_000;

/**
 * ModelStore on one SQLite file that processes of a machine share. Writes are single immediate transactions;
 * WAL lets readers go on beside them. Calls are synchronous within: a read of all models takes well under a
 * millisecond each hundred versions, off the hot path.
 */
export class SqliteStore implements ModelStore {
  readonly #db: DatabaseSync;
  readonly #sql: ReturnType<typeof prepareAll>;

  /** Creates the file when it is absent; its folder must exist. Throws as the port's methods do. */
  constructor(path: string) {
    try {
      this.#db = new DatabaseSync(path, { timeout: busyTimeoutMs, enableForeignKeyConstraints: true });
      // FULL: a version that was answered as created outlives a power cut. Writes are rare.
      this.#db.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL');
      migrate(this.#db);
      this.#sql = prepareAll(this.#db);
    } catch (error) {
      throw MillraceError.is(error) ? error : toStoreError(error);
    }
  }

  putVersion(draft: VersionDraft): Promise<PutVersionOutcome> {
    return this.#write(() => this.#put(draft));
  }

  getModel(name: string): Promise<Model | undefined> {
    return this.#read(() => {
      const model = this.#models([name])[0];
      return model !== undefined && model.versions.length > 0 ? model : undefined;
    });
  }

  listModels(): Promise<readonly Model[]> {
    return this.#read(() => this.#models(this.#sql.models.all().map((row) => text(row, 'name'))));
  }

  setAlias(model: string, alias: string, version: string): Promise<void> {
    return this.#write(() => {
      if (this.#sql.version.get(model, version) === undefined)
        throw new MillraceError('not_found', `The model ${model} has no version ${version}`);
      this.#sql.putAlias.run(model, alias, version);
      this.#sql.grow.run();
    });
  }

  revision(): Promise<number> {
    return this.#read(() => Number(this.#sql.revision.get()?.['value']));
  }

  close(): Promise<void> {
    if (this.#db.isOpen) this.#db.close();
    return Promise.resolve();
  }

  #put(draft: VersionDraft): PutVersionOutcome {
    const stored = this.#sql.versions.all(draft.model).map(toVersion);
    const same = stored.find((known) => isSameVersion(known, draft));
    if (same !== undefined) return { kind: 'exists', version: same };
    const taken = stored.find((known) => known.version === draft.version);
    if (taken !== undefined) return { kind: 'conflict', version: taken };
    const version: ModelVersion = { ...draft, version: draft.version ?? nextNumber(stored) };
    this.#sql.putModel.run(draft.model);
    this.#sql.putVersion.run(toRow(version, stored.length));
    if (stored.length === 0) this.#sql.putAlias.run(draft.model, defaultAlias, version.version);
    this.#sql.grow.run();
    return { kind: 'created', version: deepFreeze(structuredClone(version)) };
  }

  #models(names: readonly string[]): Model[] {
    return names.map((name) => {
      const aliases = this.#sql.aliases.all(name).map((row) => [text(row, 'alias'), text(row, 'version')]);
      const versions = this.#sql.versions.all(name).map(toVersion);
      return deepFreeze({ name, aliases: Object.fromEntries(aliases) as Record<string, string>, versions });
    });
  }

  #read<T>(work: () => T): Promise<T> {
    return this.#transaction('BEGIN', work);
  }

  #write<T>(work: () => T): Promise<T> {
    return this.#transaction('BEGIN IMMEDIATE', work);
  }

  /** Reads are transactions too, so that a model's aliases and versions are of one moment. */
  #transaction<T>(begin: string, work: () => T): Promise<T> {
    return Promise.resolve().then(() => {
      try {
        this.#db.exec(begin);
        const result = work();
        this.#db.exec('COMMIT');
        return result;
      } catch (error) {
        if (this.#db.isOpen && this.#db.isTransaction) this.#db.exec('ROLLBACK');
        throw MillraceError.is(error) ? error : toStoreError(error);
      }
    });
  }
}

function prepareAll(
  db: DatabaseSync,
): Record<
  | 'models'
  | 'versions'
  | 'version'
  | 'aliases'
  | 'revision'
  | 'grow'
  | 'putModel'
  | 'putVersion'
  | 'putAlias',
  StatementSync
> {
  return {
    models: db.prepare('SELECT name FROM models ORDER BY name'),
    versions: db.prepare('SELECT * FROM versions WHERE model = ? ORDER BY ordinal'),
    version: db.prepare('SELECT 1 FROM versions WHERE model = ? AND version = ?'),
    aliases: db.prepare('SELECT alias, version FROM aliases WHERE model = ? ORDER BY alias'),
    revision: db.prepare('SELECT value FROM revision'),
    grow: db.prepare('UPDATE revision SET value = value + 1'),
    putModel: db.prepare('INSERT OR IGNORE INTO models VALUES (?)'),
    putVersion: db.prepare(
      `INSERT INTO versions VALUES ($model, $version, $ordinal, $digest, $served_digest, $artifact_bytes,
         $manifest, $signature, $labels, $roles, $status, $created_at_ms, $created_by)`,
    ),
    putAlias: db.prepare('INSERT OR REPLACE INTO aliases VALUES (?, ?, ?)'),
  };
}

/** 1, 2, …: past the greatest number in use, a number given as a name included. */
function nextNumber(stored: readonly ModelVersion[]): string {
  const numbers = stored.map((known) => known.version).filter((name) => /^\d{1,15}$/.test(name));
  return String(Math.max(0, ...numbers.map(Number)) + 1);
}

function toRow(version: ModelVersion, ordinal: number): Record<string, string | number> {
  return {
    model: version.model,
    version: version.version,
    ordinal,
    digest: version.digest,
    served_digest: version.servedDigest,
    artifact_bytes: version.artifactBytes,
    manifest: JSON.stringify(version.manifest),
    signature: JSON.stringify(version.signature),
    labels: JSON.stringify(version.labels),
    roles: JSON.stringify(version.roles),
    status: version.status,
    created_at_ms: version.createdAtMs,
    created_by: version.createdBy,
  };
}

function toVersion(row: Row): ModelVersion {
  return deepFreeze({
    model: text(row, 'model'),
    version: text(row, 'version'),
    digest: text(row, 'digest'),
    servedDigest: text(row, 'served_digest'),
    artifactBytes: Number(row['artifact_bytes']),
    manifest: JSON.parse(text(row, 'manifest')) as ModelVersion['manifest'],
    signature: JSON.parse(text(row, 'signature')) as ModelVersion['signature'],
    labels: JSON.parse(text(row, 'labels')) as ModelVersion['labels'],
    roles: JSON.parse(text(row, 'roles')) as ModelVersion['roles'],
    status: text(row, 'status') as ModelVersion['status'],
    createdAtMs: Number(row['created_at_ms']),
    createdBy: text(row, 'created_by'),
  });
}

function text(row: Row, column: string): string {
  const value = row[column];
  if (typeof value !== 'string') throw new Error(`${column} is not text`);
  return value;
}

/** Out of reach (locked for too long, disk full, closed) may pass; anything else is a wrong answer. */
function toStoreError(cause: unknown): MillraceError {
  const code = (cause as { errcode?: unknown }).errcode;
  const state = (cause as { code?: unknown }).code === 'ERR_INVALID_STATE';
  // SQLITE_BUSY, LOCKED, IOERR, FULL, CANTOPEN; the low byte is the primary code.
  const passing = typeof code === 'number' && [5, 6, 10, 13, 14].includes(code & 0xff);
  return passing || state
    ? new MillraceError('service_unavailable', 'The registry is out of reach', { cause })
    : new MillraceError('bad_gateway', undefined, { cause });
}
