import { byteWidth, makeArray } from '../tensors/datatype.ts';
import type { CarriedDatatype, NumericArray } from '../tensors/datatype.ts';
import { joinRows } from '../tensors/batch.ts';
import { elementCount, sameRowShape } from '../tensors/shape.ts';
import type { NamedTensors, Tensor, TensorData } from '../tensors/tensor.ts';
import type { InputPacker, RowWriter } from './input-packer.ts';
import { compileReader } from './pack-instance.ts';
import type { InstanceReader, TakeValue } from './pack-instance.ts';
import type { InputFacts } from './request-inputs.ts';

/** Rows for which memory is taken at first; it doubles from there and stays for the rows that follow. */
const firstRowCount = 64;
/** Of one input: with wide rows the first memory is for fewer of them. */
const firstBytes = 65_536;

/**
 * Packs instances one behind the other, as rows of one set of tensors: the bulk counterpart of compilePacker, which
 * takes, refuses and packs the same.
 */
export class RowsPacker {
  readonly #reader: InstanceReader;
  readonly #columns: readonly Column[];
  #rowCount = 0;
  #bytes = 0;
  #rowBytes = 0;
  #fits = true;

  constructor(version: InputFacts) {
    this.#reader = compileReader(version);
    this.#columns = this.#reader.inputs.map((input) =>
      input.rows === null ? new LooseColumn(input) : new FixedColumn(input, input.rows),
    );
  }

  get rowCount(): number {
    return this.#rowCount;
  }

  /** Of all rows; a string counts one byte a character. */
  get bytes(): number {
    return this.#bytes;
  }

  /**
   * Adds one row. False, and nothing is added, when its shape differs from that of the rows before: `take` these
   * first. Throws `invalid_input` as compilePacker does; then nothing is added either.
   */
  add(instance: unknown, path: string): boolean {
    this.#rowBytes = 0;
    this.#fits = true;
    this.#reader.read(instance, path, this.#take);
    if (!this.#fits) return false;
    this.#rowCount += 1;
    this.#bytes += this.#rowBytes;
    return true;
  }

  /** The rows, and a fresh start. Their memory is used again by the next `add`: encode or copy them before. */
  take(): NamedTensors {
    const tensors = new Map<string, Tensor>();
    if (this.#rowCount > 0)
      for (const column of this.#columns) tensors.set(column.name, column.take(this.#rowCount));
    this.#rowCount = 0;
    this.#bytes = 0;
    return tensors;
  }

  readonly #take: TakeValue = (_input, value, path, index) => {
    const bytes = (this.#columns[index] as Column).write(value, path, this.#rowCount);
    if (bytes < 0) this.#fits = false;
    else this.#rowBytes += bytes;
  };
}

interface Column {
  readonly name: string;
  /** Bytes of the row, or -1 when it does not fit to the rows before it. Throws `invalid_input`. */
  write(value: unknown, path: string, row: number): number;
  take(rowCount: number): Tensor;
}

/** All rows in one array. */
class FixedColumn implements Column {
  readonly name: string;
  readonly #rows: RowWriter;
  readonly #absent: TensorData | null;
  readonly #rowBytes: number;
  #data: NumericArray | string[];
  #capacity: number;

  constructor({ name, absent }: InputPacker, rows: RowWriter) {
    this.name = name;
    this.#rows = rows;
    this.#absent = absent?.data ?? null;
    this.#rowBytes = rows.datatype === 'BYTES' ? 0 : rows.elementCount * byteWidth(rows.datatype);
    this.#capacity = Math.max(
      1,
      Math.min(firstRowCount, Math.floor(firstBytes / Math.max(1, this.#rowBytes))),
    );
    this.#data = makeData(rows.datatype, this.#capacity * rows.elementCount);
  }

  write(value: unknown, path: string, row: number): number {
    if (row === this.#capacity) this.#grow();
    const { elementCount: width, write } = this.#rows;
    const at = row * width;
    if (value === null && this.#absent !== null) copy(this.#absent, this.#data, at);
    else write(value, path, this.#data, at);
    return Array.isArray(this.#data) ? charCount(this.#data, at, width) : this.#rowBytes;
  }

  take(rowCount: number): Tensor {
    const { datatype, rowShape, elementCount: width } = this.#rows;
    const shape = [rowCount, ...rowShape];
    const data = this.#data;
    if (!Array.isArray(data)) return { datatype, shape, data: data.subarray(0, rowCount * width) };
    this.#data = [];
    data.length = rowCount * width;
    return { datatype, shape, data };
  }

  #grow(): void {
    this.#capacity *= 2;
    const { datatype, elementCount: width } = this.#rows;
    if (Array.isArray(this.#data)) return;
    const larger = makeData(datatype, this.#capacity * width) as Float64Array;
    larger.set(this.#data as Float64Array);
    this.#data = larger;
  }
}

/** Rows that may differ in shape: those that do not are joined in the end. */
class LooseColumn implements Column {
  readonly name: string;
  readonly #input: InputPacker;
  #rows: Tensor[] = [];

  constructor(input: InputPacker) {
    this.name = input.name;
    this.#input = input;
  }

  write(value: unknown, path: string, row: number): number {
    const tensor = this.#input.pack(value, path);
    const first = this.#rows[0];
    if (row > 0 && first !== undefined && !sameRowShape(tensor.shape, first.shape)) return -1;
    this.#rows[row] = tensor;
    const { datatype, data, shape } = tensor;
    if (datatype === 'BYTES') return charCount(data as readonly string[], 0, data.length);
    return elementCount(shape) * byteWidth(datatype);
  }

  take(rowCount: number): Tensor {
    const rows = this.#rows.slice(0, rowCount);
    this.#rows = [];
    return joinRows(rows.map((row) => new Map([[this.name, row]]))).get(this.name) as Tensor;
  }
}

function makeData(datatype: CarriedDatatype, count: number): NumericArray | string[] {
  return datatype === 'BYTES' ? [] : makeArray(datatype, count);
}

function copy(source: TensorData, target: NumericArray | string[], at: number): void {
  for (let i = 0; i < source.length; i++) (target as unknown[])[at + i] = source[i];
}

function charCount(texts: readonly string[], from: number, count: number): number {
  let sum = 0;
  for (let i = from; i < from + count; i++) sum += (texts[i] as string).length;
  return sum;
}
