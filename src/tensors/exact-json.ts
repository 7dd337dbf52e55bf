import { MillraceError } from '../errors.ts';

/** 16 digits are the fewest with which an integer can pass 2^53; UINT64 has at most 20. */
const maybeInexact = /\d{16}/;
const wideInteger = /^-?\d{16,20}$/;

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
 * fit no datatype and stay inexact numbers). Costs several times parseJson where the text has 16 digits in a
 * row, and nothing elsewhere: for versions with 64-bit integer inputs.
 */
export function parseExactJson(text: string): unknown {
  if (!maybeInexact.test(text)) return parseJson(text);
  try {
    return JSON.parse(text, keepExact);
  } catch (error) {
    throw notJson(error);
  }
}

function keepExact(_key: string, value: unknown, context?: { readonly source?: string }): unknown {
  if (typeof value !== 'number' || Number.isSafeInteger(value)) return value;
  const source = context?.source;
  return source !== undefined && wideInteger.test(source) ? BigInt(source) : value;
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
