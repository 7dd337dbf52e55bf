/**
 * Datatypes of the Open Inference Protocol v2 that Millrace carries.
 *
 * FP16 is a datatype of signatures only: onnxruntime-node cannot take float16 inputs, so casts are put into
 * the graph at registration and values travel as FP32. No Tensor value ever has datatype FP16.
 */
export const datatypes = [
  'BOOL',
  'UINT8',
  'UINT16',
  'UINT32',
  'UINT64',
  'INT8',
  'INT16',
  'INT32',
  'INT64',
  'FP16',
  'FP32',
  'FP64',
  'BYTES',
] as const;

export type Datatype = (typeof datatypes)[number];
/** The datatypes a Tensor value can have. */
export type CarriedDatatype = Exclude<Datatype, 'FP16'>;
/** The datatypes whose elements lie in a typed array. */
export type NumericDatatype = Exclude<CarriedDatatype, 'BYTES'>;
export type FloatDatatype = 'FP16' | 'FP32' | 'FP64';
export type WideIntegerDatatype = 'INT64' | 'UINT64';
export type IntegerDatatype = 'UINT8' | 'UINT16' | 'UINT32' | 'INT8' | 'INT16' | 'INT32';

export type NumericArray =
  | Uint8Array
  | Uint16Array
  | Uint32Array
  | BigUint64Array
  | Int8Array
  | Int16Array
  | Int32Array
  | BigInt64Array
  | Float32Array
  | Float64Array;

interface NumericArrayConstructor {
  readonly BYTES_PER_ELEMENT: number;
  new (length: number): NumericArray;
  new (buffer: ArrayBufferLike, byteOffset: number, length: number): NumericArray;
}

const arrayConstructors: Readonly<Record<NumericDatatype, NumericArrayConstructor>> = {
  BOOL: Uint8Array,
  UINT8: Uint8Array,
  UINT16: Uint16Array,
  UINT32: Uint32Array,
  UINT64: BigUint64Array,
  INT8: Int8Array,
  INT16: Int16Array,
  INT32: Int32Array,
  INT64: BigInt64Array,
  FP32: Float32Array,
  FP64: Float64Array,
};

/** Least and greatest values of the integers that a JavaScript number holds. */
export const integerRanges: Readonly<
  Record<IntegerDatatype, { readonly min: number; readonly max: number }>
> = {
  UINT8: { min: 0, max: 255 },
  UINT16: { min: 0, max: 65_535 },
  UINT32: { min: 0, max: 4_294_967_295 },
  INT8: { min: -128, max: 127 },
  INT16: { min: -32_768, max: 32_767 },
  INT32: { min: -2_147_483_648, max: 2_147_483_647 },
};

export const wideIntegerRanges: Readonly<
  Record<WideIntegerDatatype, { readonly min: bigint; readonly max: bigint }>
> = {
  INT64: { min: -(2n ** 63n), max: 2n ** 63n - 1n },
  UINT64: { min: 0n, max: 2n ** 64n - 1n },
};

/**
 * The least magnitude that rounds to infinity: the greatest finite value plus half a unit in its last place.
 * Every finite double is below FP64's.
 */
export const floatOverflow: Readonly<Record<FloatDatatype, number>> = {
  FP16: 65_520,
  FP32: 2 ** 128 - 2 ** 103,
  FP64: Number.POSITIVE_INFINITY,
};

/** What travels for a declared datatype. */
export function carrierOf(datatype: Datatype): CarriedDatatype {
  return datatype === 'FP16' ? 'FP32' : datatype;
}

export function isFloat(datatype: Datatype): datatype is FloatDatatype {
  return datatype === 'FP16' || datatype === 'FP32' || datatype === 'FP64';
}

export function isWideInteger(datatype: Datatype): datatype is WideIntegerDatatype {
  return datatype === 'INT64' || datatype === 'UINT64';
}

/** Bytes of one element. */
export function byteWidth(datatype: NumericDatatype): number {
  return arrayConstructors[datatype].BYTES_PER_ELEMENT;
}

/** `elementCount` zeros. */
export function makeArray(datatype: NumericDatatype, elementCount: number): NumericArray {
  return new arrayConstructors[datatype](elementCount);
}

/** A view of bytes that begin at a multiple of the element's width. */
export function viewArray(
  datatype: NumericDatatype,
  bytes: Uint8Array,
  offset: number,
  elementCount: number,
): NumericArray {
  return new arrayConstructors[datatype](bytes.buffer, bytes.byteOffset + offset, elementCount);
}
