import { MillraceError } from '../../../errors.ts';
import type { ErrorPlace } from '../../../errors.ts';
import { requestInputs } from '../../../processing/request-inputs.ts';
import type { InputFacts, RequestInput } from '../../../processing/request-inputs.ts';
import { isWideInteger } from '../../../tensors/datatype.ts';
import type { Datatype } from '../../../tensors/datatype.ts';
import { quote } from '../../../tensors/refusal.ts';
import { elementCount, isFixed } from '../../../tensors/shape.ts';
import { nearestName } from '../../../validation.ts';

/** From the cells of a record to an instance as JSON would have it; the packer sees to the rest. */
export interface CsvColumns {
  /** The column of the caller's ids, or -1. */
  readonly idColumn: number;
  readonly columnCount: number;
  readonly toInstance: (cells: readonly string[]) => unknown;
}

/** The caller's ids, unless the model has a feature or input of that name. */
const idName = 'id';
/** Names in one error. */
const placesMax = 10;

/** What one cell stands for; null where it is empty and that means missing. */
type CellReader = (text: string) => unknown;

interface Column {
  readonly name: string;
  readonly fillable: boolean;
  readonly read: CellReader;
}

/**
 * Fits a header row to a version: features or inputs by name in any order, or, for a model of one input without named
 * features, as many columns as it has elements, in their order and of any names. Throws `invalid_input` that names
 * what is unknown, missing or there twice, and for models whose rows cannot lie in columns.
 */
export function compileColumns(version: InputFacts, header: readonly string[]): CsvColumns {
  const named = namedColumns(version);
  checkOnce(header);
  return named === null ? byPosition(version, header) : byName(named, header);
}

/** Null for a model whose elements have no names. */
function namedColumns(version: InputFacts): readonly Column[] | null {
  const inputs = requestInputs(version);
  const [first] = inputs;
  const graphDatatype = version.signature.inputs[0]?.datatype;
  if (first !== undefined && first.features !== null)
    return first.features.map(({ name, missing, one_hot: categories }) => {
      const fillable = missing !== undefined;
      return {
        name,
        fillable,
        read: cellReader(categories === undefined ? graphDatatype : 'BYTES', fillable),
      };
    });
  if (inputs.length === 1) return null;
  return inputs.map((input) => {
    const fillable = isFillable(version, input);
    if (countOf(input) !== 1) throw notTabular(`input ${quote(input.name)} has more than one value a row`);
    return { name: input.name, fillable, read: cellReader(input.datatype, fillable) };
  });
}

function byName(columns: readonly Column[], header: readonly string[]): CsvColumns {
  const known = new Map(columns.map((column) => [column.name, column]));
  const given = new Set(header);
  const idColumn = known.has(idName) ? -1 : header.indexOf(idName);
  const missing = columns.filter(({ name, fillable }) => !fillable && !given.has(name));
  const unknown = header.filter((name, index) => index !== idColumn && !known.has(name));
  refuse([
    ...missing.slice(0, placesMax).map(missingColumn),
    ...unknown.slice(0, placesMax).map(unknownColumn(known)),
  ]);
  const readers = header.map((name) => known.get(name)?.read);
  const newInstance = known.has('__proto__') ? withoutPrototype : plain;
  const toInstance = (cells: readonly string[]): unknown => {
    const instance = newInstance();
    for (let i = 0; i < readers.length; i++) {
      const read = readers[i];
      if (read !== undefined) instance[header[i] as string] = read(cells[i] as string);
    }
    return instance;
  };
  return { idColumn, columnCount: header.length, toInstance };
}

function plain(): Record<string, unknown> {
  return {};
}

/** Here `__proto__` becomes a member like any other. Slower to fill than a plain object. */
function withoutPrototype(): Record<string, unknown> {
  return Object.create(null) as Record<string, unknown>;
}

function byPosition(version: InputFacts, header: readonly string[]): CsvColumns {
  const input = requestInputs(version)[0] as RequestInput;
  const count = countOf(input);
  const idColumn = header.length === count ? -1 : header.indexOf(idName);
  const found = header.length - (idColumn < 0 ? 0 : 1);
  if (found !== count) {
    const expected = `${count} columns for input ${quote(input.name)}, and at most one more, ${idName}`;
    refuse([{ path: 'header', expected, found: `${header.length} columns` }]);
  }
  const read = cellReader(input.datatype, isFillable(version, input));
  const toInstance = (cells: readonly string[]): unknown => {
    const instance: unknown[] = [];
    for (let i = 0; i < cells.length; i++) if (i !== idColumn) instance.push(read(cells[i] as string));
    return instance;
  };
  return { idColumn, columnCount: header.length, toInstance };
}

function countOf({ name, rowShape }: RequestInput): number {
  if (!isFixed(rowShape)) throw notTabular(`input ${quote(name)} takes rows of different lengths`);
  return elementCount(rowShape);
}

function isFillable({ manifest }: InputFacts, { name }: RequestInput): boolean {
  return manifest.inputs !== undefined && Object.hasOwn(manifest.inputs, name)
    ? manifest.inputs[name]?.missing !== undefined
    : false;
}

/** Where nothing stands for what is missing, an empty cell of text is the empty text. */
function cellReader(datatype: Datatype | undefined, fillable: boolean): CellReader {
  if (datatype === 'BYTES' || datatype === undefined)
    return (text) => (text === '' && fillable ? null : text.includes(replacementCharacter) ? notText : text);
  if (datatype === 'BOOL') return (text) => (text === '' ? null : (booleans.get(text) ?? text));
  if (isWideInteger(datatype))
    return (text) => (text === '' ? null : wideInteger.test(text) ? text : numberOf(text));
  return (text) => (text === '' ? null : numberOf(text));
}

/** What csv-parse makes of bytes that are not UTF-8. */
const replacementCharacter = '\ufffd';
/** Fits no datatype, and says why in the refusal. */
const notText = ['bytes that are not UTF-8'];
/** As JSON, Python, R and spreadsheets write them. */
const booleans: ReadonlyMap<string, boolean> = new Map([
  ...['true', 'True', 'TRUE', '1'].map((text) => [text, true] as const),
  ...['false', 'False', 'FALSE', '0'].map((text) => [text, false] as const),
]);
const wideInteger = /^-?\d{1,20}$/;
/** In linear time: no text can be split between its parts in two ways, and a cell may hold a megabyte. */
const decimal = /^ *[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)? *$/;

/** Text that is no number stays text: the packer takes `NaN` and `Infinity`, and refuses the rest by name. */
function numberOf(text: string): number | string {
  return decimal.test(text) ? Number(text) : text;
}

function checkOnce(header: readonly string[]): void {
  const seen = new Set<string>();
  const twice = new Set<string>();
  for (const name of header)
    if (seen.has(name)) twice.add(name);
    else seen.add(name);
  refuse(
    [...twice].slice(0, placesMax).map((name) => ({
      path: columnPath(name),
      expected: 'each column once',
      found: 'several of this name',
    })),
  );
}

function missingColumn({ name }: Column): ErrorPlace {
  return { path: columnPath(name), expected: 'a column of this name', found: 'none' };
}

function unknownColumn(known: ReadonlyMap<string, Column>): (name: string) => ErrorPlace {
  return (name) => {
    const nearest = nearestName(name, [...known.keys()]);
    const hint = nearest === undefined ? '' : `, such as ${nearest}`;
    return {
      path: columnPath(name),
      expected: `the name of a feature or input${hint}`,
      found: 'an unknown name',
    };
  };
}

function columnPath(name: string): string {
  return `header[${quote(name)}]`;
}

function refuse(places: readonly ErrorPlace[]): void {
  if (places.length === 0) return;
  throw new MillraceError('invalid_input', 'The header row does not fit the model', { details: places });
}

function notTabular(why: string): MillraceError {
  return new MillraceError('invalid_input', 'Rows of this model cannot lie in columns', {
    details: `${why}: send them as application/x-ndjson`,
  });
}
