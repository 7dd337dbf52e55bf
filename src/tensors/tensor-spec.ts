import type { Datatype } from './datatype.ts';

/** One input or output as the ONNX graph declares it. `shape` includes the batch axis if there is one; -1 is a dynamic dimension. */
export interface TensorSpec {
  readonly name: string;
  readonly datatype: Datatype;
  readonly shape: readonly number[];
}
