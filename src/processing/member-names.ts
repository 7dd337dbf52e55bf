import { MillraceError } from '../errors.ts';
import type { ErrorPlace } from '../errors.ts';
import { memberPath } from '../tensors/refusal.ts';
import { nearestName } from '../validation.ts';

/** Names in one error: enough to mend a request, and no more than a response should repeat. */
const placesMax = 10;

export type JsonObject = Readonly<Record<string, unknown>>;

export function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** The error for an object whose member names are not as they must be: names the unknown and the missing. */
export function namesRefusal(
  object: JsonObject,
  names: { readonly known: readonly string[]; readonly required: readonly string[]; readonly what: string },
  path: string,
): MillraceError {
  const { known, required, what } = names;
  const places: ErrorPlace[] = [];
  for (const name of required)
    if (!Object.hasOwn(object, name) && places.length < placesMax)
      places.push({ path: memberPath(path, name), expected: `a value for this ${what}`, found: 'nothing' });
  for (const name of Object.keys(object)) {
    if (places.length === placesMax) break;
    if (!known.includes(name)) places.push(unknownName(name, known, what, memberPath(path, name)));
  }
  const { path: place, expected, found } = places[0] as ErrorPlace;
  return new MillraceError('invalid_input', `${place}: expected ${expected}, found ${found}`, {
    details: places,
  });
}

export function unknownName(name: string, known: readonly string[], what: string, path: string): ErrorPlace {
  const nearest = nearestName(name, known);
  const expected =
    nearest === undefined ? `the name of a known ${what}` : `a known ${what}, such as ${nearest}`;
  return { path, expected, found: `an unknown ${what}` };
}
