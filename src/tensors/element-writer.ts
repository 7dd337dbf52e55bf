import { floatOverflow, integerRanges, isFloat, isWideInteger, wideIntegerRanges } from './datatype.ts';
import type {
  Datatype,
  FloatDatatype,
  IntegerDatatype,
  NumericArray,
  WideIntegerDatatype,
} from './datatype.ts';

/** What stands for a null: a value of the input's datatype. */
export type Fill = number | string | boolean | bigint;

/**
 * Writes `values` to `target` from index `at` on. Returns the index of the first value that is not of the
 * datatype, or -1.
 */
export type ElementWriter = (
  target: NumericArray | string[],
  at: number,
  values: readonly unknown[],
) => number;

const decimal = /^-?\d{1,20}$/;

/** The writer of one datatype; `fill` stands for null, without it a null is refused. */
export function elementWriter(datatype: Datatype, fill?: Fill): ElementWriter {
  if (isFloat(datatype)) return floatWriter(datatype, fill);
  if (isWideInteger(datatype)) return wideIntegerWriter(datatype, fill);
  if (datatype === 'BOOL') return booleanWriter(fill);
  return datatype === 'BYTES' ? stringWriter(fill) : integerWriter(datatype, fill);
}

/** What `elementWriter` accepts, for messages. */
export function expectedElement(datatype: Datatype): string {
  if (isFloat(datatype)) return `a number in the range of ${datatype}`;
  if (datatype === 'BOOL') return 'true or false';
  if (datatype === 'BYTES') return 'a string of well-formed Unicode';
  if (isWideInteger(datatype)) {
    const { min, max } = wideIntegerRanges[datatype];
    return `an integer from ${min} to ${max} (beyond ±(2^53 - 1) as a string)`;
  }
  const { min, max } = integerRanges[datatype];
  return `an integer from ${min} to ${max}`;
}

/** A float as JSON can give it, or undefined. The strings are the contract's stand-ins for what JSON lacks. */
export function toFloat(value: unknown, overflow: number): number | undefined {
  if (value === 'NaN') return Number.NaN;
  if (value === 'Infinity') return Number.POSITIVE_INFINITY;
  if (value === '-Infinity') return Number.NEGATIVE_INFINITY;
  const number = typeof value === 'bigint' ? Number(value) : value;
  if (typeof number !== 'number') return undefined;
  return Number.isNaN(number) || Math.abs(number) < overflow ? number : undefined;
}

function floatWriter(datatype: FloatDatatype, fill: Fill | undefined): ElementWriter {
  const overflow = floatOverflow[datatype];
  return (target, at, values) => {
    const floats = target as Float32Array | Float64Array;
    for (let i = 0; i < values.length; i++) {
      const value = values[i];
      if (typeof value === 'number' && value < overflow && value > -overflow) {
        floats[at + i] = value;
        continue;
      }
      const float = value === null && fill !== undefined ? Number(fill) : toFloat(value, overflow);
      if (float === undefined) return i;
      floats[at + i] = float;
    }
    return -1;
  };
}

function integerWriter(datatype: IntegerDatatype, fill: Fill | undefined): ElementWriter {
  const { min, max } = integerRanges[datatype];
  return (target, at, values) => {
    const integers = target as Int32Array;
    for (let i = 0; i < values.length; i++) {
      const given = values[i];
      const value = given === null ? fill : given;
      if (typeof value !== 'number' || !(value >= min && value <= max) || !Number.isInteger(value)) return i;
      integers[at + i] = value;
    }
    return -1;
  };
}

function wideIntegerWriter(datatype: WideIntegerDatatype, fill: Fill | undefined): ElementWriter {
  const { min, max } = wideIntegerRanges[datatype];
  return (target, at, values) => {
    const integers = target as BigInt64Array | BigUint64Array;
    for (let i = 0; i < values.length; i++) {
      const given = values[i];
      const value = toWideInteger(given === null ? fill : given);
      if (value === undefined || value < min || value > max) return i;
      integers[at + i] = value;
    }
    return -1;
  };
}

function toWideInteger(value: unknown): bigint | undefined {
  if (typeof value === 'bigint') return value;
  if (typeof value === 'number') return Number.isSafeInteger(value) ? BigInt(value) : undefined;
  return typeof value === 'string' && decimal.test(value) ? BigInt(value) : undefined;
}

/** 1 and 0 too: clients that keep booleans in integer arrays send them so. */
function booleanWriter(fill: Fill | undefined): ElementWriter {
  return (target, at, values) => {
    const bytes = target as Uint8Array;
    for (let i = 0; i < values.length; i++) {
      const given = values[i];
      const value = given === null ? fill : given;
      if (value === true || value === 1) bytes[at + i] = 1;
      else if (value === false || value === 0) bytes[at + i] = 0;
      else return i;
    }
    return -1;
  };
}

function stringWriter(fill: Fill | undefined): ElementWriter {
  return (target, at, values) => {
    const strings = target as string[];
    for (let i = 0; i < values.length; i++) {
      const given = values[i];
      const value = given === null ? fill : given;
      if (typeof value !== 'string' || !value.isWellFormed()) return i;
      strings[at + i] = value;
    }
    return -1;
  };
}
