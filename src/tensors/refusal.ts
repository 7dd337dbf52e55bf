import { MillraceError } from '../errors.ts';

/** Longest part of a caller's string that a message repeats. */
const shownCharsMax = 40;

/** The error for a value that the caller must change: the place is in the message and in `details`. */
export function refusal(path: string, expected: string, found: string): MillraceError {
  return new MillraceError('invalid_input', `${path}: expected ${expected}, found ${found}`, {
    details: [{ path, expected, found }],
  });
}

/** Path of a member: `inputs.image`, or `inputs["X:0"]` where a dot would mislead or the name is long. */
export function memberPath(path: string, name: string): string {
  return path + memberSuffix(name);
}

export function memberSuffix(name: string): string {
  return /^[A-Za-z_][\w-]{0,39}$/.test(name) ? `.${name}` : `[${quote(name)}]`;
}

/** A caller's string for a message: JSON-escaped (no control characters) and short. */
export function quote(text: string): string {
  return JSON.stringify(text.length > shownCharsMax ? `${text.slice(0, shownCharsMax)}…` : text);
}

/** A JSON value in a few words. */
export function describe(value: unknown): string {
  if (value === null) return 'null';
  if (value === undefined) return 'nothing';
  if (Array.isArray(value)) return `an array of ${value.length}`;
  if (typeof value === 'string') return `the string ${quote(value)}`;
  if (typeof value === 'number' || typeof value === 'bigint' || typeof value === 'boolean')
    return `${typeof value} ${value}`;
  return `an ${typeof value}`;
}
