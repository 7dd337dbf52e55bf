/** One field of an ONNX message, as the walk over the raw bytes needs it. */
export interface FieldSchema {
  readonly name: string;
  /** Protobuf wire type: 0 varint, 1 eight bytes, 2 length and bytes, 5 four bytes. */
  readonly wire: 0 | 1 | 2 | 5;
  /** A repeated number: may also come packed, as wire type 2. */
  readonly packed?: true;
  /** The message that the bytes hold. */
  readonly message?: string;
  readonly repeated?: true;
  /** Bears meaning and is unknown to the decoder (which has the schema of ONNX 1.10). */
  readonly lost?: true;
  /** Never accepted. */
  readonly refused?: true;
}

const number = (name: string): FieldSchema => ({ name, wire: 0 });
const bytes = (name: string): FieldSchema => ({ name, wire: 2 });
const numbers = (name: string, wire: 0 | 1 | 5 = 0): FieldSchema => ({ name, wire, packed: true });
const one = (name: string, message: string): FieldSchema => ({ name, wire: 2, message });
const many = (name: string, message: string): FieldSchema => ({ ...one(name, message), repeated: true });
const lost = (field: FieldSchema): FieldSchema => ({ ...field, lost: true });
const refused = (field: FieldSchema): FieldSchema => ({ ...field, refused: true });

const attribute: Readonly<Record<number, FieldSchema>> = {
  1: bytes('name'),
  2: { name: 'f', wire: 5 },
  3: number('i'),
  4: bytes('s'),
  5: one('t', 'Tensor'),
  6: one('g', 'Graph'),
  7: numbers('floats', 5),
  8: numbers('ints'),
  9: bytes('strings'),
  10: many('tensors', 'Tensor'),
  11: many('graphs', 'Graph'),
  13: bytes('doc_string'),
  14: one('tp', 'Type'),
  15: many('type_protos', 'Type'),
  20: number('type'),
  21: bytes('ref_attr_name'),
  22: one('sparse_tensor', 'SparseTensor'),
  23: many('sparse_tensors', 'SparseTensor'),
};

/** Messages of onnx.proto (IR 3 to 13) by field number. */
export const onnxMessages: Readonly<Record<string, Readonly<Record<number, FieldSchema>>>> = {
  Model: {
    1: number('ir_version'),
    2: bytes('producer_name'),
    3: bytes('producer_version'),
    4: bytes('domain'),
    5: number('model_version'),
    6: bytes('doc_string'),
    7: one('graph', 'Graph'),
    8: many('opset_import', 'OperatorSetId'),
    14: many('metadata_props', 'Entry'),
    // Graphs that inference never runs: nothing to serve, more to attack.
    20: refused(many('training_info', 'Graph')),
    25: many('functions', 'Function'),
    26: bytes('configuration'),
  },
  Entry: { 1: bytes('key'), 2: bytes('value') },
  OperatorSetId: { 1: bytes('domain'), 2: number('version') },
  Graph: {
    1: many('node', 'Node'),
    2: bytes('name'),
    5: many('initializer', 'Tensor'),
    10: bytes('doc_string'),
    11: many('input', 'ValueInfo'),
    12: many('output', 'ValueInfo'),
    13: many('value_info', 'ValueInfo'),
    14: many('quantization_annotation', 'TensorAnnotation'),
    15: many('sparse_initializer', 'SparseTensor'),
    16: many('metadata_props', 'Entry'),
  },
  Node: {
    1: bytes('input'),
    2: bytes('output'),
    3: bytes('name'),
    4: bytes('op_type'),
    5: many('attribute', 'Attribute'),
    6: bytes('doc_string'),
    7: bytes('domain'),
    8: lost(bytes('overload')),
    9: many('metadata_props', 'Entry'),
    10: bytes('device_configurations'),
  },
  Attribute: attribute,
  // Defaults of a function's attributes: the decoder does not show them, so no graph may hide there.
  AttributeDefault: {
    ...attribute,
    6: refused(one('g', 'Graph')),
    11: refused(many('graphs', 'Graph')),
  },
  ValueInfo: {
    1: bytes('name'),
    2: one('type', 'Type'),
    3: bytes('doc_string'),
    4: many('metadata_props', 'Entry'),
  },
  Tensor: {
    1: numbers('dims'),
    2: number('data_type'),
    3: refused(bytes('segment')),
    4: numbers('float_data', 5),
    5: numbers('int32_data'),
    6: bytes('string_data'),
    7: numbers('int64_data'),
    8: bytes('name'),
    9: bytes('raw_data'),
    10: numbers('double_data', 1),
    11: numbers('uint64_data'),
    12: bytes('doc_string'),
    // External data: a path that the file chooses would be read by whoever loads it.
    13: refused(many('external_data', 'Entry')),
    14: number('data_location'),
    16: many('metadata_props', 'Entry'),
  },
  SparseTensor: { 1: one('values', 'Tensor'), 2: one('indices', 'Tensor'), 3: numbers('dims') },
  Type: {
    1: one('tensor_type', 'TensorType'),
    4: one('sequence_type', 'ElementType'),
    5: one('map_type', 'MapType'),
    6: bytes('denotation'),
    7: bytes('opaque_type'),
    8: one('sparse_tensor_type', 'TensorType'),
    9: one('optional_type', 'ElementType'),
  },
  TensorType: { 1: number('elem_type'), 2: one('shape', 'Shape') },
  ElementType: { 1: one('elem_type', 'Type') },
  MapType: { 1: number('key_type'), 2: one('value_type', 'Type') },
  Shape: { 1: many('dim', 'Dimension') },
  Dimension: { 1: number('dim_value'), 2: bytes('dim_param'), 3: bytes('denotation') },
  TensorAnnotation: { 1: bytes('tensor_name'), 2: many('quant_parameter_tensor_names', 'Entry') },
  Function: {
    1: bytes('name'),
    2: number('since_version'),
    3: number('status'),
    4: bytes('input'),
    5: bytes('output'),
    6: bytes('attribute'),
    7: many('node', 'Node'),
    8: bytes('doc_string'),
    9: many('opset_import', 'OperatorSetId'),
    10: bytes('domain'),
    11: lost(many('attribute_proto', 'AttributeDefault')),
    12: many('value_info', 'ValueInfo'),
    13: lost(bytes('overload')),
    14: many('metadata_props', 'Entry'),
  },
};
