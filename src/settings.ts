import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parse } from 'yaml';
import schema from '../config/schema.json' with { type: 'json' };
import { MillraceError } from './errors.ts';
import type { ErrorPlace } from './errors.ts';
import type { SettingKey, Settings } from './settings-shape.ts';
import { compile, describe, nearestName } from './validation.ts';

export type { SettingKey, Settings } from './settings-shape.ts';

export type SettingSource = 'default' | 'file' | 'env';

export interface LoadedSettings {
  readonly settings: Settings;
  /** Where each effective value came from: lets a main see whether, say, `redis.url` was given at all. */
  readonly sources: Readonly<Record<SettingKey, SettingSource>>;
  /** True when a launcher set MILLRACE_SUPERVISED=1: the process must end when the launcher does. */
  readonly supervised: boolean;
}

/** What config/schema.json says of a leaf. */
export interface SettingSchema {
  readonly type: 'integer' | 'string';
  readonly description: string;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly enum?: readonly string[];
  readonly pattern?: string;
  readonly 'x-unit'?: string;
  readonly 'x-secret'?: boolean;
}

/** Leaves of config/schema.json by key, in the order of the file. */
export const settingSchemas: ReadonlyMap<SettingKey, SettingSchema> = readSchemas();

/** Variables that are not settings: told by a launcher to its child, never kept in a file. */
const processVariables: readonly string[] = ['MILLRACE_SUPERVISED'];

/** Holds default.yaml, the files of overrides and schema.json. */
const configFolder = fileURLToPath(new URL('../config/', import.meta.url));

/**
 * config/default.yaml, then config/<environment>.yaml where there is one, then MILLRACE_* variables (empty ones
 * count as absent). Throws `invalid_input` that names every wrong place, where it was set and what would be right.
 * The only reader of process.env.
 */
export function loadSettings(env: NodeJS.ProcessEnv = process.env, folder = configFolder): LoadedSettings {
  const problems: Problem[] = [];
  const defaults = readLayer('default', folder, 'default.yaml', problems);
  const variables = envLayer(env, problems);
  const environment = variables.get('environment') ?? defaults.get('environment');
  const overrides = overrideLayer(environment?.value, folder, problems);
  const given = new Map([...defaults, ...overrides, ...variables]);
  for (const [key, schema] of settingSchemas) problems.push(...checkLeaf(key, schema, given.get(key)));
  if (problems.length > 0) throw refusal(problems);

  const settings = nest(given);
  const broken = crossRules.flatMap((rule) => checkRule(rule, given));
  if (broken.length > 0) throw refusal(broken);
  const sources = Object.fromEntries([...given].map(([key, { source }]) => [key, source]));
  return {
    settings,
    sources: Object.freeze(sources) as Record<SettingKey, SettingSource>,
    supervised: env['MILLRACE_SUPERVISED'] === '1',
  };
}

interface Given {
  readonly value: unknown;
  readonly source: SettingSource;
  /** File or variable, for messages. */
  readonly where: string;
}

type Layer = Map<SettingKey, Given>;

interface Problem extends ErrorPlace {
  readonly where: string;
}

/** The variable of a setting: `redis.url` → `MILLRACE_REDIS_URL`. */
export function variableName(key: string): string {
  return `MILLRACE_${key.replaceAll('.', '_').toUpperCase()}`;
}

function readSchemas(): ReadonlyMap<SettingKey, SettingSchema> {
  const leaves = new Map<SettingKey, SettingSchema>();
  for (const [name, entry] of Object.entries<object>(schema.properties)) {
    const group =
      'properties' in entry ? Object.entries(entry.properties as Record<string, unknown>) : undefined;
    if (group === undefined) leaves.set(name as SettingKey, entry as SettingSchema);
    else
      for (const [leaf, found] of group) leaves.set(`${name}.${leaf}` as SettingKey, found as SettingSchema);
  }
  return leaves;
}

function overrideLayer(environment: unknown, folder: string, problems: Problem[]): Layer {
  const known = settingSchemas.get('environment')?.enum ?? [];
  // Before it becomes part of a path; checkLeaf reports it.
  if (typeof environment !== 'string' || !known.includes(environment)) return new Map();
  const layer = readLayer('file', folder, `${environment}.yaml`, problems);
  const chosen = layer.get('environment');
  if (chosen !== undefined)
    problems.push({
      path: 'environment',
      where: chosen.where,
      expected: 'to be given by MILLRACE_ENVIRONMENT or default.yaml',
      found: 'in the file that it chooses',
    });
  return layer;
}

/** A file of overrides may be missing; default.yaml may not, since every key would be. */
function readLayer(source: SettingSource, folder: string, file: string, problems: Problem[]): Layer {
  const where = `config/${file}`;
  const layer: Layer = new Map();
  let content: unknown;
  try {
    content = parse(readFileSync(join(folder, file), 'utf8')) ?? {};
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT')
      problems.push({
        path: '(root)',
        where,
        expected: 'a readable YAML file',
        found: (error as Error).message,
      });
    return layer;
  }
  for (const [key, value] of flatten(content)) {
    if (settingSchemas.has(key as SettingKey)) layer.set(key as SettingKey, { value, source, where });
    else problems.push(unknownName(key, where, [...settingSchemas.keys()]));
  }
  return layer;
}

/** Two levels, as the schema has: a group's own keys become `group.key`; anything deeper is a value. */
function flatten(content: unknown): [string, unknown][] {
  return entriesOf(content).flatMap(([name, value]) =>
    isGroup(name) && entriesOf(value).length > 0
      ? entriesOf(value).map(([leaf, inner]): [string, unknown] => [`${name}.${leaf}`, inner])
      : [[name, value] as [string, unknown]],
  );
}

function isGroup(name: string): boolean {
  return Object.hasOwn(schema.properties, name) && !settingSchemas.has(name as SettingKey);
}

function entriesOf(value: unknown): [string, unknown][] {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? Object.entries(value) : [];
}

function envLayer(env: NodeJS.ProcessEnv, problems: Problem[]): Layer {
  const keyOf = new Map([...settingSchemas.keys()].map((key) => [variableName(key), key]));
  const layer: Layer = new Map();
  for (const [where, text] of Object.entries(env)) {
    if (!where.startsWith('MILLRACE_') || text === undefined || text === '') continue;
    if (processVariables.includes(where)) continue;
    const key = keyOf.get(where);
    if (key === undefined) problems.push(unknownName(where, 'the environment', [...keyOf.keys()]));
    else layer.set(key, { value: fromText(text, settingSchemas.get(key)!), source: 'env', where });
  }
  return layer;
}

/** Text that is no integer stays text, for the check to refuse with its own words. */
function fromText(text: string, leaf: SettingSchema): unknown {
  return leaf.type === 'integer' && /^-?\d{1,15}$/.test(text) ? Number(text) : text;
}

function unknownName(path: string, where: string, known: readonly string[]): Problem {
  const nearest = nearestName(path, known);
  const expected = nearest === undefined ? 'a known name' : `a known name, such as ${nearest}`;
  return { path, where, expected, found: 'an unknown name' };
}

function checkLeaf(key: SettingKey, leaf: SettingSchema, given: Given | undefined): Problem[] {
  if (given === undefined)
    return [{ path: key, where: 'config/default.yaml', expected: 'a value', found: 'nothing' }];
  const checked = compile(leaf)(given.value, key);
  if (checked.valid) return [];
  return checked.places.map((place) => ({
    ...place,
    where: given.where,
    found: leaf['x-secret'] === true ? 'a value that is not shown' : place.found,
  }));
}

/** Deep-frozen; groups in the order of the schema. */
function nest(given: Layer): Settings {
  const nested: Record<string, unknown> = {};
  for (const key of settingSchemas.keys()) {
    const [name, leaf] = key.split('.') as [string, string | undefined];
    const value = given.get(key)!.value;
    if (leaf === undefined) nested[name] = value;
    else ((nested[name] ??= {}) as Record<string, unknown>)[leaf] = value;
  }
  for (const value of Object.values(nested)) Object.freeze(value);
  return Object.freeze(nested) as unknown as Settings;
}

interface CrossRule {
  readonly left: SettingKey;
  readonly relation: 'less than' | 'at most' | 'at least';
  readonly right: SettingKey;
  readonly why: string;
}

/** What no schema of single values can say. */
export const crossRules: readonly CrossRule[] = [
  {
    left: 'queue.stalled_interval_ms',
    relation: 'less than',
    right: 'queue.lock_ms',
    why: 'a lost lock would be noticed later than it lasts',
  },
  {
    left: 'worker.heartbeat_ms',
    relation: 'less than',
    right: 'worker.presence_ttl_ms',
    why: 'a live worker would count as gone between two heartbeats',
  },
  {
    left: 'predict.timeout_ms',
    relation: 'at most',
    right: 'predict.timeout_ms_max',
    why: 'the default would be refused if a request asked for it',
  },
  {
    left: 'queue.payload_ttl_ms',
    relation: 'at least',
    right: 'predict.timeout_ms_max',
    why: 'a job could outlive its payload',
  },
  {
    left: 'results.ttl_ms',
    relation: 'at least',
    right: 'predict.timeout_ms_max',
    why: 'a caller could still wait when the result is gone',
  },
  {
    left: 'results.kept_max',
    relation: 'at least',
    right: 'coalescer.jobs_in_flight_max',
    why: 'a result of a job in flight could be dropped before it is read back',
  },
  {
    left: 'coalescer.batch_rows_max',
    relation: 'at most',
    right: 'coalescer.pending_rows_max',
    why: 'a full batch could never be gathered',
  },
  {
    left: 'api.saturated_in_flight_min',
    relation: 'at most',
    right: 'api.in_flight_max',
    why: 'it would never be reached',
  },
  {
    left: 'batch.backoff_ms',
    relation: 'at most',
    right: 'batch.backoff_ms_max',
    why: 'the first pause would be longer than the longest',
  },
  {
    left: 'batch.result_streams_per_caller_max',
    relation: 'at most',
    right: 'batch.result_streams_max',
    why: 'it would never be reached',
  },
  {
    left: 'batch.event_streams_per_caller_max',
    relation: 'at most',
    right: 'batch.event_streams_max',
    why: 'it would never be reached',
  },
  {
    left: 'drain_delay_ms',
    relation: 'less than',
    right: 'shutdown_grace_ms',
    why: 'accepted work would have no time to finish',
  },
  {
    left: 'api.headers_timeout_ms',
    relation: 'at most',
    right: 'api.request_timeout_ms',
    why: 'headers are a part of the request',
  },
  {
    left: 'webhooks.per_host_max',
    relation: 'at most',
    right: 'webhooks.in_flight_max',
    why: 'it would never be reached',
  },
];

const relations: Record<CrossRule['relation'], (left: number, right: number) => boolean> = {
  'less than': (left, right) => left < right,
  'at most': (left, right) => left <= right,
  'at least': (left, right) => left >= right,
};

function checkRule(rule: CrossRule, given: Layer): Problem[] {
  const left = given.get(rule.left)!;
  const right = given.get(rule.right)!;
  if (relations[rule.relation](left.value as number, right.value as number)) return [];
  const expected = `${rule.relation} ${rule.right} (${String(right.value)}, from ${right.where}): otherwise ${rule.why}`;
  return [{ path: rule.left, where: left.where, expected, found: describe(left.value) }];
}

function refusal(problems: readonly Problem[]): MillraceError {
  const lines = problems.map(({ path, where, expected, found }) =>
    path === where
      ? `${path}: expected ${expected}; found ${found}`
      : `${path} (from ${where}): expected ${expected}; found ${found}`,
  );
  const message =
    lines.length === 1
      ? `Settings: ${lines[0]}`
      : `Settings: ${lines.length} are wrong:\n- ${lines.join('\n- ')}`;
  const places = problems.map(({ path, expected, found }) => ({ path, expected, found }));
  return new MillraceError('invalid_input', message, { details: places });
}
