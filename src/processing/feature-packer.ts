import type { FeatureSpec } from '../registry/manifest.ts';
import { floatOverflow, integerRanges, isFloat, isWideInteger } from '../tensors/datatype.ts';
import type { Datatype } from '../tensors/datatype.ts';
import { expectedElement, toFloat } from '../tensors/element-writer.ts';
import { describe, memberPath, quote, refusal } from '../tensors/refusal.ts';
import { isObject, namesRefusal } from './member-names.ts';
import type { JsonObject } from './member-names.ts';

/** Categories that a message lists. */
const shownCategoriesMax = 8;

interface FeatureColumn {
  readonly name: string;
  readonly fillable: boolean;
  /** The element that a JSON value stands for, or undefined when it stands for none. */
  readonly read: (value: unknown) => number | undefined;
  /** Numbers below this magnitude need no call of `read`; 0 where all do. */
  readonly plainBelow: number;
  readonly expected: string;
}

/** Writes one instance to `data` from `at` on; what stands there is undefined when it throws. */
export type FeatureWriter = (
  value: unknown,
  path: string,
  data: Float32Array | Float64Array,
  at: number,
) => void;

/**
 * Reads one instance of a feature model: an array in the order of the features, or an object by feature
 * name. `graphDatatype` is that of the graph's input, whose range the values must keep.
 */
export function compileFeatureWriter(
  features: readonly FeatureSpec[],
  graphDatatype: Datatype,
): FeatureWriter {
  const columns = features.map((feature) => compileColumn(feature, graphDatatype));
  const plainBelow = Float64Array.from(columns, (column) => column.plainBelow);
  const known = columns.map((column) => column.name);
  const required = columns.filter((column) => !column.fillable).map((column) => column.name);

  const fromArray = (
    values: readonly unknown[],
    path: string,
    data: Float32Array | Float64Array,
    at: number,
  ): void => {
    if (values.length !== columns.length)
      throw refusal(path, `an array of ${columns.length} (one value for each feature)`, describe(values));
    for (let i = 0; i < values.length; i++) {
      const value = values[i];
      const limit = plainBelow[i] as number;
      if (typeof value === 'number' && value < limit && value > -limit) data[at + i] = value;
      else data[at + i] = readColumn(columns[i] as FeatureColumn, value, path, i);
    }
  };
  const fromObject = (
    object: JsonObject,
    path: string,
    data: Float32Array | Float64Array,
    at: number,
  ): void => {
    let present = 0;
    for (let i = 0; i < columns.length; i++) {
      const column = columns[i] as FeatureColumn;
      const given = Object.hasOwn(object, column.name);
      if (given) present++;
      else if (!column.fillable) throw namesRefusal(object, { known, required, what: 'feature' }, path);
      data[at + i] = readColumn(column, given ? object[column.name] : null, path, column.name);
    }
    if (present !== Object.keys(object).length)
      throw namesRefusal(object, { known, required, what: 'feature' }, path);
  };
  return (value, path, data, at) => {
    if (Array.isArray(value)) fromArray(value, path, data, at);
    else if (isObject(value)) fromObject(value, path, data, at);
    else if (columns.length === 1) fromArray([value], path, data, at);
    else
      throw refusal(
        path,
        'an array in the order of the features or an object by feature name',
        describe(value),
      );
  };
}

function readColumn(column: FeatureColumn, value: unknown, path: string, key: number | string): number {
  if (value === null && column.fillable) return Number.NaN;
  const element = column.read(value);
  if (element !== undefined) return element;
  const place = typeof key === 'number' ? `${path}[${key}]` : memberPath(path, key);
  throw refusal(place, column.expected, describe(value));
}

function compileColumn(feature: FeatureSpec, graphDatatype: Datatype): FeatureColumn {
  const { name, one_hot: categories, missing, scale } = feature;
  const base = { name, fillable: missing !== undefined };
  if (categories !== undefined) {
    const indices = new Map<unknown, number>(categories.map((category, index) => [category, index]));
    const shown = categories.slice(0, shownCategoriesMax).map(quote).join(', ');
    const more = categories.length > shownCategoriesMax ? `, … (${categories.length} in all)` : '';
    const expected = `for feature ${quote(name)} one of ${shown}${more}`;
    return { ...base, read: (value) => indices.get(value), plainBelow: 0, expected };
  }
  const expected = `for feature ${quote(name)} ${expectedElement(graphDatatype)}`;
  if (isFloat(graphDatatype)) {
    // Scaling brings into FP16's range what was outside.
    const overflow = floatOverflow[graphDatatype === 'FP16' && scale !== undefined ? 'FP32' : graphDatatype];
    return { ...base, read: (value) => toFloat(value, overflow), plainBelow: overflow, expected };
  }
  return { ...base, read: integerReader(graphDatatype), plainBelow: 0, expected };
}

function integerReader(datatype: Datatype): (value: unknown) => number | undefined {
  const range = datatype in integerRanges ? integerRanges[datatype as keyof typeof integerRanges] : undefined;
  const min = range?.min ?? (datatype === 'UINT64' ? 0 : Number.MIN_SAFE_INTEGER);
  const max = range?.max ?? (isWideInteger(datatype) ? Number.MAX_SAFE_INTEGER : 1);
  return (value) =>
    typeof value === 'number' && Number.isInteger(value) && value >= min && value <= max ? value : undefined;
}
