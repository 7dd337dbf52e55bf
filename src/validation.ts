import type { ErrorObject, JSONSchemaType, SchemaObject } from 'ajv';
import { Ajv2020 } from 'ajv/dist/2020.js';
import type { ErrorPlace } from './errors.ts';

export type { JSONSchemaType, SchemaObject };

/** The one ajv instance. Only our own schemas are ever compiled. */
const ajv = new Ajv2020({
  strict: true,
  allErrors: false,
  coerceTypes: false,
  useDefaults: false,
  allowUnionTypes: true,
});

export type Validation<T> =
  | { readonly valid: true; readonly value: T }
  | { readonly valid: false; readonly places: readonly ErrorPlace[] };

/**
 * Compiles a JSON Schema (2020-12) into a check. `root` is put before each path, as in `parameters` →
 * `parameters.top_k`.
 */
export function compile<T>(schema: SchemaObject): (value: unknown, root?: string) => Validation<T> {
  const check = ajv.compile<T>(schema);
  return (value, root = '') => {
    if (check(value)) return { valid: true, value };
    return { valid: false, places: (check.errors ?? []).map((error) => toPlace(error, value, root)) };
  };
}

function toPlace(error: ErrorObject, value: unknown, root: string): ErrorPlace {
  const segments = error.instancePath.split('/').slice(1).map(unescapePointer);
  const extra =
    error.keyword === 'additionalProperties' ? String(error.params['additionalProperty']) : undefined;
  const path = toPath(root, extra === undefined ? segments : [...segments, extra]);
  const expected = extra === undefined ? (error.message ?? error.keyword) : 'a known name';
  return { path, expected, found: extra === undefined ? describe(at(value, segments)) : 'an unknown name' };
}

function unescapePointer(segment: string): string {
  return segment.replaceAll('~1', '/').replaceAll('~0', '~');
}

function toPath(root: string, segments: readonly string[]): string {
  let path = root;
  for (const segment of segments)
    path += /^\d+$/.test(segment) ? `[${segment}]` : path === '' ? segment : `.${segment}`;
  return path === '' ? '(root)' : path;
}

function at(value: unknown, segments: readonly string[]): unknown {
  let current = value;
  for (const segment of segments) {
    if (typeof current !== 'object' || current === null) return undefined;
    current = (current as Record<string, unknown>)[segment];
  }
  return current;
}

/** A value in a few words, for messages: its type and, while short, itself. */
export function describe(value: unknown): string {
  if (value === null) return 'null';
  if (value === undefined) return 'nothing';
  if (Array.isArray(value)) return `array of ${value.length}`;
  if (typeof value === 'object') return 'object';
  if (typeof value === 'string') {
    const short = value.length > 40 ? `${value.slice(0, 40)}…` : value;
    return `string ${JSON.stringify(short)}`;
  }
  if (typeof value === 'number' || typeof value === 'bigint' || typeof value === 'boolean')
    return `${typeof value} ${value}`;
  return typeof value;
}
