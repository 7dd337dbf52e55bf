import { MillraceError } from '../../errors.ts';
import { Refusal } from './refusal.ts';

/** Decodes the query and refuses names that the route does not know, repeated names and broken encodings. */
export function parseQuery(search: string, known: readonly string[]): ReadonlyMap<string, string> {
  const values = new Map<string, string>();
  for (const pair of search.split('&')) {
    if (pair === '') continue;
    const mark = pair.indexOf('=');
    const name = decode(mark < 0 ? pair : pair.slice(0, mark));
    const value = mark < 0 ? '' : decode(pair.slice(mark + 1));
    if (!known.includes(name)) throw unknown(name, known);
    if (values.has(name)) throw refusedQuery(name, 'one value', 'several');
    values.set(name, value);
  }
  return values;
}

export function checkQuery(search: string, known: readonly string[]): void {
  parseQuery(search, known);
}

/** A whole number within bounds, or the default where the parameter is absent. */
export function integerOf(
  values: ReadonlyMap<string, string>,
  name: string,
  bounds: { readonly min: number; readonly max: number; readonly default: number },
): number {
  const text = values.get(name);
  if (text === undefined) return bounds.default;
  const value = Number(text);
  if (!/^\d{1,15}$/.test(text) || value < bounds.min || value > bounds.max)
    throw refusedQuery(
      name,
      `an integer from ${bounds.min} to ${bounds.max}`,
      JSON.stringify(text.slice(0, 40)),
    );
  return value;
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text.replaceAll('+', ' '));
  } catch {
    throw new Refusal('invalid_input', 'The query string is malformed', {
      details: [{ path: 'query', expected: 'valid percent-encoding of UTF-8', found: text.slice(0, 80) }],
    });
  }
}

function unknown(name: string, known: readonly string[]): MillraceError {
  const expected =
    known.length === 0
      ? 'no query parameters (parameters go in the body)'
      : `one of the query parameters ${known.join(', ')}`;
  return refusedQuery(name.slice(0, 80), expected, 'an unknown name');
}

/** `invalid_input` that names a query parameter. */
export function refusedQuery(name: string, expected: string, found: string): MillraceError {
  return new MillraceError('invalid_input', 'The query string is not valid', {
    details: [{ path: `query.${name}`, expected, found }],
  });
}
