import { join } from 'node:path';
import { MillraceError } from '../../errors.ts';
import { loadSettings } from '../../settings.ts';
import { help, parseCommand, UsageError } from './command.ts';
import type { Command } from './command.ts';
import { issueKey } from './issue-key.ts';
import type { KeyRecord, KeyStore } from './key-store.ts';
import { SqliteKeyStore } from './sqlite-key-store.ts';

const dayMs = 86_400_000;

/** Prints and returns the exit code. */
async function run(command: Exclude<Command, { kind: 'help' }>, store: KeyStore, environment: string) {
  const nowMs = Date.now();
  switch (command.kind) {
    case 'create': {
      const expiresAtMs = command.expiresInDays === null ? null : nowMs + command.expiresInDays * dayMs;
      const issued = await issueKey(store, { ...command.request, environment, expiresAtMs }, nowMs);
      if (command.json) print({ key: issued.key, ...shown(issued.record) });
      else console.log(`${issued.key}\n\nThis is the only time it is shown. ${inWords(issued.record)}`);
      return 0;
    }
    case 'list': {
      const records = await store.list();
      if (command.json) print({ keys: records.map(shown) });
      else if (records.length === 0) console.log('There are no keys yet. npm run keys -- create --name NAME');
      else for (const record of records) console.log(`${record.id}  ${inWords(record)}`);
      return 0;
    }
    case 'revoke': {
      const outcome = await store.revoke(command.id, nowMs);
      if (command.json) print({ id: command.id, outcome });
      else if (outcome === 'revoked') console.log(`${command.id} is revoked`);
      else if (outcome === 'already_revoked') console.log(`${command.id} was revoked already`);
      else console.error(`There is no key ${command.id}. npm run keys -- list shows all`);
      return outcome === 'unknown' ? 1 : 0;
    }
  }
}

/** What people and programs may see of a key. */
function shown(record: KeyRecord) {
  return {
    id: record.id,
    name: record.name,
    scopes: record.scopes,
    rate_per_minute: record.ratePerMinute,
    created_at: new Date(record.createdAtMs).toISOString(),
    expires_at: isoOrNull(record.expiresAtMs),
    revoked_at: isoOrNull(record.revokedAtMs),
  };
}

function inWords(record: KeyRecord): string {
  const words = [record.name, `scopes ${record.scopes.join(',')}`, `created ${day(record.createdAtMs)}`];
  if (record.ratePerMinute !== null)
    words.push(record.ratePerMinute === 0 ? 'no rate limit' : `${record.ratePerMinute} a minute`);
  if (record.expiresAtMs !== null) words.push(`expires ${day(record.expiresAtMs)}`);
  if (record.revokedAtMs !== null) words.push(`REVOKED ${day(record.revokedAtMs)}`);
  return words.join(' · ');
}

function day(ms: number): string {
  return new Date(ms).toISOString().slice(0, 10);
}

function isoOrNull(ms: number | null): string | null {
  return ms === null ? null : new Date(ms).toISOString();
}

function print(value: unknown): void {
  console.log(JSON.stringify(value, null, 2));
}

/** The environment as a part of the key: letters only. */
const shortEnvironment = { development: 'dev', production: 'live', test: 'test' } as const;

async function main(args: readonly string[]): Promise<number> {
  try {
    const command = parseCommand(args);
    if (command.kind === 'help') {
      console.log(help);
      return 0;
    }
    const { settings } = loadSettings();
    const store = new SqliteKeyStore(join(settings.home, 'keys.db'));
    try {
      return await run(command, store, shortEnvironment[settings.environment]);
    } finally {
      await store.close();
    }
  } catch (error) {
    if (error instanceof UsageError) {
      console.error(`${error.message}\n\n${help}`);
      return 2;
    }
    if (!MillraceError.is(error)) throw error;
    console.error(error.message);
    return 1;
  }
}

process.exitCode = await main(process.argv.slice(2));
