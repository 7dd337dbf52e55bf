import { carrierOf, makeArray } from './datatype.ts';
import type { CarriedDatatype, Datatype, NumericArray } from './datatype.ts';
import { elementWriter, expectedElement } from './element-writer.ts';
import type { ElementWriter, Fill } from './element-writer.ts';
import { describe, refusal } from './refusal.ts';
import { elementCount, isFixed, printShape } from './shape.ts';
import type { Tensor } from './tensor.ts';

export interface PackSpec {
  readonly datatype: Datatype;
  /** What the JSON value must have; -1 is any length from 1 on. */
  readonly shape: readonly number[];
  /** Puts an axis of length 1 before the shape: the value is one row. */
  readonly rowAxis: boolean;
  /** Stands for null; without it null is refused. */
  readonly fill?: Fill | undefined;
}

/**
 * JSON value to tensor. `path` is the value's place in the body, for messages. Throws `invalid_input` that
 * names place, expected and found.
 */
export type JsonPacker = (value: unknown, path: string) => Tensor;

/**
 * Accepts arrays nested as the shape says; for a fixed shape also a flat array of all elements in row-major
 * order, and for a fixed shape of one element the bare element.
 */
export function compileJsonPacker(spec: PackSpec): JsonPacker {
  if (!isFixed(spec.shape)) {
    const packer = packerOf(spec);
    return (value, path) => packNested(packer, value, path, spec.rowAxis);
  }
  return packWith(compileJsonWriter(spec), spec.rowAxis ? [1, ...spec.shape] : spec.shape);
}

/** One value as a tensor of its own; `shape` has the writer's element count. */
export function packWith(
  { datatype, elementCount: count, write }: JsonWriter,
  shape: readonly number[],
): JsonPacker {
  return (value, path) => {
    const data = makeData(datatype, count);
    write(value, path, data, 0);
    return { datatype, shape, data };
  };
}

/** Puts values of one fixed shape where the caller says: rows of a batch, one behind the other. */
export interface JsonWriter {
  readonly datatype: CarriedDatatype;
  readonly elementCount: number;
  /** Takes what a packer takes, and throws likewise; what stands from `at` on is then undefined. */
  readonly write: (value: unknown, path: string, target: NumericArray | string[], at: number) => void;
}

/** The shape must be fixed. */
export function compileJsonWriter(spec: Pick<PackSpec, 'datatype' | 'shape' | 'fill'>): JsonWriter {
  const packer = packerOf(spec);
  const count = elementCount(spec.shape);
  const isNested = spec.shape.length > 1;
  const write: JsonWriter['write'] = (value, path, target, at) => {
    let flat: readonly unknown[];
    if (!Array.isArray(value)) {
      if (count !== 1) throw refusal(path, expectedArray(packer, count), describe(value));
      flat = [value];
    } else if (isNested && Array.isArray(value[0])) {
      checkLengths(spec.shape, value, path);
      writeNested(packer, spec.shape, target, { value, depth: 0, offset: at, base: at }, path);
      return;
    } else {
      flat = value;
      if (flat.length !== count) throw refusal(path, expectedArray(packer, count), describe(value));
    }
    const refused = packer.write(target, at, flat);
    if (refused < 0) return;
    const place = Array.isArray(value) ? `${path}[${refused}]` : path;
    throw refusal(place, expectedElement(packer.declared), describe(flat[refused]));
  };
  return { datatype: packer.datatype, elementCount: count, write };
}

interface Packer {
  readonly declared: Datatype;
  readonly datatype: CarriedDatatype;
  readonly shape: readonly number[];
  readonly write: ElementWriter;
}

function packerOf({ datatype, shape, fill }: Pick<PackSpec, 'datatype' | 'shape' | 'fill'>): Packer {
  return { declared: datatype, datatype: carrierOf(datatype), shape, write: elementWriter(datatype, fill) };
}

/** Lengths are all checked before memory is taken: an empty array may claim any shape below itself. */
function packNested(packer: Packer, value: unknown, path: string, rowAxis: boolean): Tensor {
  const shape = inferShape(packer.shape, value, path);
  checkLengths(shape, value, path);
  const data = makeData(packer.datatype, elementCount(shape));
  writeNested(
    packer,
    shape,
    data,
    { value: value as readonly unknown[], depth: 0, offset: 0, base: 0 },
    path,
  );
  return { datatype: packer.datatype, shape: rowAxis ? [1, ...shape] : shape, data };
}

/** Dynamic dimensions are as long as the first array at their depth. */
function inferShape(declared: readonly number[], value: unknown, path: string): readonly number[] {
  let first = value;
  let place = path;
  return declared.map((dimension) => {
    if (!Array.isArray(first))
      throw refusal(place, `an array nested as the shape ${printShape(declared)}`, describe(first));
    if (dimension < 0 && first.length === 0) throw refusal(place, 'at least one element', 'an empty array');
    const length = dimension < 0 ? first.length : dimension;
    first = first[0];
    place += '[0]';
    return length;
  });
}

function checkLengths(shape: readonly number[], value: unknown, path: string): void {
  let level: readonly unknown[] = [value];
  for (let depth = 0; depth < shape.length; depth++) {
    const length = shape[depth];
    for (let i = 0; i < level.length; i++) {
      const array = level[i];
      if (!Array.isArray(array) || array.length !== length) {
        const expected = `an array of ${length} (shape ${printShape(shape)})`;
        throw refusal(path + indices(shape, depth, i), expected, describe(array));
      }
    }
    if (depth < shape.length - 1) level = (level as unknown[][]).flat();
  }
}

interface Cursor {
  readonly value: readonly unknown[];
  readonly depth: number;
  readonly offset: number;
  /** Offset at which the whole value began. */
  readonly base: number;
}

/** Recursion goes as deep as the declared rank, never as deep as the caller's value. Returns the next offset. */
function writeNested(
  packer: Packer,
  shape: readonly number[],
  data: NumericArray | string[],
  cursor: Cursor,
  path: string,
): number {
  const { value, depth, base } = cursor;
  if (depth === shape.length - 1) {
    const refused = packer.write(data, cursor.offset, value);
    if (refused < 0) return cursor.offset + value.length;
    const place = path + indices(shape, shape.length, cursor.offset - base + refused);
    throw refusal(place, expectedElement(packer.declared), describe(value[refused]));
  }
  let offset = cursor.offset;
  for (let i = 0; i < value.length; i++) {
    const inner = { value: value[i] as readonly unknown[], depth: depth + 1, offset, base };
    offset = writeNested(packer, shape, data, inner, path);
  }
  return offset;
}

/** `[2][0]`: indices over the first `depth` axes of the `nth` array (or element) there. */
function indices(shape: readonly number[], depth: number, nth: number): string {
  let text = '';
  let rest = nth;
  for (let axis = depth - 1; axis >= 0; axis--) {
    const length = shape[axis] as number;
    text = `[${rest % length}]${text}`;
    rest = Math.floor(rest / length);
  }
  return text;
}

function makeData(datatype: CarriedDatatype, count: number): NumericArray | string[] {
  return datatype === 'BYTES' ? [] : makeArray(datatype, count);
}

function expectedArray(packer: Packer, count: number): string {
  const { shape } = packer;
  if (shape.length < 2) return count === 1 ? expectedElement(packer.declared) : `an array of ${count}`;
  return `an array of shape ${printShape(shape)}, or of all ${count} elements`;
}
