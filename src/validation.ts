import type { ErrorObject, JSONSchemaType, SchemaObject } from 'ajv';
import { Ajv2020 } from 'ajv/dist/2020.js';
import type { ErrorPlace } from './errors.ts';

export type { JSONSchemaType, SchemaObject };

/**
 * The one ajv instance. Only our own schemas are ever compiled. It stops at the first error: gathering all of
 * them would let a hostile body choose how much work its refusal costs.
 */
const ajv = new Ajv2020({
  strict: true,
  allErrors: false,
  verbose: true,
  coerceTypes: false,
  useDefaults: false,
  allowUnionTypes: true,
});
// Annotations of config/schema.json: they inform people and tools and check nothing.
ajv.addVocabulary(['x-unit', 'x-secret']);

export type Validation<T> =
  | { readonly valid: true; readonly value: T }
  | { readonly valid: false; readonly places: readonly ErrorPlace[] };

/**
 * Compiles a JSON Schema (2020-12) into a check. `root` is put before each path, as in `parameters` →
 * `parameters.top_k`. Compiling costs about half a millisecond: do it once, when a module loads.
 */
export function compile<T>(schema: SchemaObject): (value: unknown, root?: string) => Validation<T> {
  const check = ajv.compile<T>(schema);
  return (value, root = '') => {
    if (check(value)) return { valid: true, value };
    return { valid: false, places: (check.errors ?? []).map((error) => toPlace(error, root)) };
  };
}

function toPlace(error: ErrorObject, root: string): ErrorPlace {
  const segments = error.instancePath.split('/').slice(1).map(unescapePointer);
  const params: Record<string, unknown> = error.params;
  switch (error.keyword) {
    case 'additionalProperties': {
      const name = String(params['additionalProperty']);
      const known = Object.keys((error.parentSchema?.['properties'] as object | undefined) ?? {});
      return {
        path: toPath(root, [...segments, name]),
        expected: knownName(name, known),
        found: 'an unknown name',
      };
    }
    case 'required': {
      const name = String(params['missingProperty']);
      return { path: toPath(root, [...segments, name]), expected: 'a value', found: 'nothing' };
    }
    default:
      return {
        path: toPath(root, segments),
        expected: expectation(error, params),
        found: describe(error.data),
      };
  }
}

function expectation(error: ErrorObject, params: Record<string, unknown>): string {
  const limit = Number(params['limit']);
  switch (error.keyword) {
    case 'type':
      return [params['type']].flat().map(String).join(' or ');
    case 'enum':
      return `one of ${(params['allowedValues'] as unknown[]).map((value) => JSON.stringify(value)).join(', ')}`;
    case 'const':
      return JSON.stringify(params['allowedValue']);
    case 'minimum':
      return `at least ${limit}`;
    case 'maximum':
      return `at most ${limit}`;
    case 'exclusiveMinimum':
      return `more than ${limit}`;
    case 'exclusiveMaximum':
      return `less than ${limit}`;
    case 'minLength':
      return `at least ${counted(limit, 'character')}`;
    case 'maxLength':
      return `at most ${counted(limit, 'character')}`;
    case 'minItems':
      return `at least ${counted(limit, 'element')}`;
    case 'maxItems':
      return `at most ${counted(limit, 'element')}`;
    case 'minProperties':
      return `at least ${counted(limit, 'name')}`;
    case 'maxProperties':
      return `at most ${counted(limit, 'name')}`;
    case 'pattern':
      return `a string that matches ${String(params['pattern'])}`;
    default:
      return error.message ?? error.keyword;
  }
}

function counted(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`;
}

function unescapePointer(segment: string): string {
  return segment.replaceAll('~1', '/').replaceAll('~0', '~');
}

const indexPattern = /^\d+$/;
const plainNamePattern = /^[A-Za-z_$][\w$-]{0,63}$/;

/** Names that are not plain are quoted and cut, since they may come from a hostile body. */
function toPath(root: string, segments: readonly string[]): string {
  let path = root;
  for (const segment of segments) {
    if (indexPattern.test(segment)) path += `[${segment}]`;
    else if (plainNamePattern.test(segment)) path += path === '' ? segment : `.${segment}`;
    else path += `[${JSON.stringify(cut(segment))}]`;
  }
  return path === '' ? '(root)' : path;
}

/** Longest excerpt of a caller's own text that a message repeats. */
const excerptLengthMax = 40;

function cut(text: string): string {
  return text.length > excerptLengthMax ? `${text.slice(0, excerptLengthMax)}…` : text;
}

/** A value in a few words, for messages: its type and, while short, itself. */
export function describe(value: unknown): string {
  if (value === null) return 'null';
  if (value === undefined) return 'nothing';
  if (Array.isArray(value)) return `array of ${value.length}`;
  if (typeof value === 'object') return 'object';
  if (typeof value === 'string') return `string ${JSON.stringify(cut(value))}`;
  if (typeof value === 'number' || typeof value === 'bigint' || typeof value === 'boolean')
    return `${typeof value} ${value}`;
  return typeof value;
}

function knownName(name: string, known: readonly string[]): string {
  const nearest = nearestName(name, known);
  return nearest === undefined ? 'a known name' : `a known name, such as ${nearest}`;
}

/**
 * The known name that `name` most likely means, or undefined when none is within a third of its length in
 * edits (insertions, deletions, substitutions; letter case does not count).
 */
export function nearestName(name: string, known: readonly string[]): string | undefined {
  const written = name.toLowerCase().slice(0, 128);
  let nearest: string | undefined;
  let distanceMax = Math.max(2, Math.floor(written.length / 3));
  for (const candidate of known) {
    // So many edits it takes at least. Rows of wide models are refused by the million: most names are not looked at.
    if (Math.abs(written.length - candidate.length) > distanceMax) continue;
    const distance = editDistance(written, candidate.toLowerCase());
    if (distance > distanceMax || (distance === distanceMax && nearest !== undefined)) continue;
    nearest = candidate;
    distanceMax = distance;
  }
  return nearest;
}

function editDistance(left: string, right: string): number {
  let previous = Array.from({ length: right.length + 1 }, (_, index) => index);
  for (let row = 1; row <= left.length; row++) {
    const current = [row];
    for (let column = 1; column <= right.length; column++) {
      const substituted = previous[column - 1]! + (left[row - 1] === right[column - 1] ? 0 : 1);
      current.push(Math.min(previous[column]! + 1, current[column - 1]! + 1, substituted));
    }
    previous = current;
  }
  return previous[right.length]!;
}
