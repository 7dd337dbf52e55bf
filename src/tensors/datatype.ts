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

/** What travels for a declared datatype. */
export function carrierOf(datatype: Datatype): CarriedDatatype {
  return datatype === 'FP16' ? 'FP32' : datatype;
}
