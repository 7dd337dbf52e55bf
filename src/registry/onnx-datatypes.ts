import type { Datatype } from '../tensors/datatype.ts';

/** TensorProto.DataType numbers. What is absent (complex, bfloat16, float8, int4) no client could send. */
const byElementType: Readonly<Record<number, Datatype>> = {
  1: 'FP32',
  2: 'UINT8',
  3: 'INT8',
  4: 'UINT16',
  5: 'INT16',
  6: 'INT32',
  7: 'INT64',
  8: 'BYTES',
  9: 'BOOL',
  10: 'FP16',
  11: 'FP64',
  12: 'UINT32',
  13: 'UINT64',
};

export const float16ElementType = 10;
export const float32ElementType = 1;

export function datatypeOf(elementType: number): Datatype | undefined {
  return byElementType[elementType];
}
