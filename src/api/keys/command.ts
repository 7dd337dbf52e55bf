import { parseArgs } from 'node:util';
import type { KeyRequest } from './issue-key.ts';
import { isScope, scopes } from './scopes.ts';
import type { Scope } from './scopes.ts';

export const help = `Makes, lists and revokes API keys. They are kept in keys.db under MILLRACE_HOME.

  npm run keys -- create --name NAME [--scopes LIST] [--rate N] [--expires-in DAYS]
  npm run keys -- list
  npm run keys -- revoke ID

create prints the key once: it cannot be shown again, only a new one made.
  --name        who or what uses it, for people who read the list
  --scopes      comma-separated: ${scopes.join(', ')}
                (default predict,batch,models:read; admin holds all of them)
  --rate        requests a minute for this key; 0 for no limit (default: the general limit)
  --expires-in  days until it stops working (default: never)

revoke takes the id, the third part of the key: mlr_dev_ID_….  A running API sees it within keys.cache_ms.

  --json        print JSON, one object
  --help        this text

Use a key as   curl -H 'X-API-Key: mlr_…' http://127.0.0.1:8080/api/v1/models
Exit codes: 0 done; 1 no such key, or the store is out of reach; 2 the command line is not right.
`;

export type Command =
  | { readonly kind: 'help' }
  | {
      readonly kind: 'create';
      readonly json: boolean;
      readonly request: Omit<KeyRequest, 'environment' | 'expiresAtMs'>;
      readonly expiresInDays: number | null;
    }
  | { readonly kind: 'list'; readonly json: boolean }
  | { readonly kind: 'revoke'; readonly json: boolean; readonly id: string };

/** The command line is not right: the message says how, the help says what would be. */
export class UsageError extends Error {}

const options = {
  name: { type: 'string' },
  scopes: { type: 'string' },
  rate: { type: 'string' },
  'expires-in': { type: 'string' },
  json: { type: 'boolean', default: false },
  help: { type: 'boolean', short: 'h', default: false },
} as const;

const defaultScopes: readonly Scope[] = ['predict', 'batch', 'models:read'];
const nameLengthMax = 100;
const rateMax = 1_000_000;
/** A hundred years: dates stay printable. */
const daysMax = 36_525;

/** Throws UsageError. */
export function parseCommand(args: readonly string[]): Command {
  const { values, positionals } = parse(args);
  const [verb, ...operands] = positionals;
  if (values.help || verb === undefined || verb === 'help') return { kind: 'help' };
  const given = Object.keys(values).filter((name) => name !== 'json' && name !== 'help');
  if (verb === 'create') {
    expectOperands(operands, 0, 'create takes no operands');
    return createCommand(values);
  }
  if (given.length > 0) throw new UsageError(`--${given[0]} goes with create only`);
  if (verb === 'list') {
    expectOperands(operands, 0, 'list takes no operands');
    return { kind: 'list', json: values.json };
  }
  if (verb === 'revoke') {
    expectOperands(operands, 1, 'revoke takes the id of one key');
    return { kind: 'revoke', json: values.json, id: operands[0] as string };
  }
  throw new UsageError(`There is no command ${JSON.stringify(verb)}: expected create, list or revoke`);
}

type Values = ReturnType<typeof parse>['values'];

function parse(args: readonly string[]) {
  try {
    return parseArgs({ args: [...args], options, allowPositionals: true, strict: true });
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error));
  }
}

function createCommand(values: Values): Command {
  const name = values.name?.trim() ?? '';
  if (name === '' || name.length > nameLengthMax)
    throw new UsageError(`--name is needed, of at most ${nameLengthMax} characters`);
  return {
    kind: 'create',
    json: values.json,
    request: {
      name,
      scopes: values.scopes === undefined ? defaultScopes : parseScopes(values.scopes),
      ratePerMinute: values.rate === undefined ? null : integer('--rate', values.rate, 0, rateMax),
    },
    expiresInDays:
      values['expires-in'] === undefined ? null : integer('--expires-in', values['expires-in'], 1, daysMax),
  };
}

function parseScopes(list: string): readonly Scope[] {
  const names = new Set(list.split(',').map((name) => name.trim()));
  const known = [...names].filter(isScope);
  if (known.length === names.size) return known;
  const unknown = [...names].find((name) => !isScope(name));
  throw new UsageError(`There is no scope ${JSON.stringify(unknown)}: expected ${scopes.join(', ')}`);
}

function integer(option: string, text: string, min: number, max: number): number {
  const value = Number(text);
  if (!/^\d{1,9}$/.test(text) || value < min || value > max)
    throw new UsageError(`${option} must be an integer from ${min} to ${max}, found ${JSON.stringify(text)}`);
  return value;
}

function expectOperands(operands: readonly string[], count: number, message: string): void {
  if (operands.length !== count) throw new UsageError(message);
}
