import type { CarriedDatatype } from './datatype.ts';

/** What ONNX Runtime's binding for JavaScript calls the datatypes that cross it. */
export const onnxTypes = {
  BOOL: 'bool',
  UINT8: 'uint8',
  UINT16: 'uint16',
  UINT32: 'uint32',
  UINT64: 'uint64',
  INT8: 'int8',
  INT16: 'int16',
  INT32: 'int32',
  INT64: 'int64',
  FP32: 'float32',
  FP64: 'float64',
  BYTES: 'string',
} as const satisfies Record<CarriedDatatype, string>;

/** The datatype that the binding means; undefined for what cannot be carried. */
export const datatypeOfOnnxType: ReadonlyMap<string, CarriedDatatype> = new Map(
  (Object.keys(onnxTypes) as CarriedDatatype[]).map((datatype) => [onnxTypes[datatype], datatype]),
);
