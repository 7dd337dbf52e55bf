import { randomUUID } from 'node:crypto';
import { MillraceError } from '../errors.ts';

/** 16 digits are the fewest with which an integer can pass 2^53; UINT64 has at most 20. */
const maybeInexact = /\d{16}/;
/**
 * A string, to be passed over, or an integer of 16 to 20 digits that is a whole number token and no name of a member.
 * A string that does not end is passed over to the end of the text: looking for others within it would take its length
 * squared.
 */
const stringOrWideInteger = /"(?:[^"\\]|\\[^])*(?:"|\\?$)|(?<![\d.eE+-])-?[1-9]\d{15,19}(?![\d.eE]|\s*:)/g;
/** Put before a wide integer that is passed through JSON.parse as a string; nobody outside can know it. */
const wideMark = `${randomUUID()}:`;

const quote = 0x22;
const backslash = 0x5c;
/** Brackets and braces differ in this bit only, and lie above all that numbers and punctuation use. */
const braceBit = 0x20;
const openBracket = 0x5b;
const openBrace = 0x7b;
const closeBrace = 0x7d;

/** JSON text to value. Throws `invalid_input`. Nesting must have been checked: a deep value harms its readers. */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw notJson(error);
  }
}

/**
 * Like parseJson, but integers that a number cannot hold exactly come as BigInt (up to 20 digits; longer ones
 * fit no datatype and stay inexact numbers). For versions with 64-bit integer inputs; costs nothing where the text
 * has no 16 digits in a row. JSON.parse with a reviver would do the same at ten times the cost, seconds for a large
 * body: so wide integers go through it as marked strings, and one walk turns them back.
 */
export function parseExactJson(text: string): unknown {
  if (!maybeInexact.test(text)) return parseJson(text);
  const marked = text.replace(stringOrWideInteger, (token) =>
    token.startsWith('"') || Number.isSafeInteger(Number(token)) ? token : `"${wideMark}${token}"`,
  );
  let holder: readonly [unknown];
  try {
    holder = [JSON.parse(marked)];
  } catch {
    // For a message that speaks of the text as it came.
    return parseJson(text);
  }
  unmark(holder);
  return holder[0];
}

/** In place, without recursion. */
function unmark(root: object): void {
  const pending: object[] = [root];
  const visit = (holder: Record<PropertyKey, unknown>, key: PropertyKey): void => {
    const value = holder[key];
    if (typeof value === 'object' && value !== null) pending.push(value);
    else if (typeof value === 'string' && value.startsWith(wideMark))
      holder[key] = BigInt(value.slice(wideMark.length));
  };
  for (let node = pending.pop(); node !== undefined; node = pending.pop()) {
    const holder = node as Record<PropertyKey, unknown>;
    if (Array.isArray(node)) for (let i = 0; i < node.length; i++) visit(holder, i);
    else for (const key of Object.keys(node)) visit(holder, key);
  }
}

/**
 * Throws `invalid_input` when arrays and objects are nested deeper than `depthMax`. One pass over the bytes
 * of JSON in UTF-8, about 1 ns each, without recursion: JSON.parse itself takes any depth, but what walks its
 * result recursively dies at a depth of some thousands. Text that is no JSON passes: parsing refuses it.
 */
export function checkDepth(json: Uint8Array, depthMax: number): void {
  let depth = 0;
  for (let i = 0; i < json.length; i++) {
    const byte = json[i] as number;
    if (byte < openBracket) {
      if (byte === quote) i = endOfString(json, i + 1);
      continue;
    }
    const brace = byte | braceBit;
    if (brace === openBrace) {
      depth++;
      if (depth > depthMax) throw tooDeep(depthMax, i);
    } else if (brace === closeBrace) {
      depth--;
    }
  }
}

/** Index of the quote that ends the string whose first byte is at `from`, or the length. */
function endOfString(json: Uint8Array, from: number): number {
  let i = from;
  while (i < json.length && json[i] !== quote) i += json[i] === backslash ? 2 : 1;
  return i;
}

function tooDeep(depthMax: number, offset: number): MillraceError {
  const expected = `at most ${depthMax} levels of arrays and objects`;
  return new MillraceError('invalid_input', `The body is nested too deeply: expected ${expected}`, {
    details: [{ path: '(root)', expected, found: `level ${depthMax + 1} at byte ${offset}` }],
  });
}

function notJson(error: unknown): MillraceError {
  const reason = error instanceof Error ? error.message : String(error);
  return new MillraceError('invalid_input', 'The body is not valid JSON', {
    details: [{ path: '(root)', expected: 'JSON (RFC 8259)', found: reason }],
    cause: error,
  });
}
