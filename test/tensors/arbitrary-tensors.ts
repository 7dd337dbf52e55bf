import fc from 'fast-check';
import type { CarriedDatatype } from '../../src/tensors/datatype.ts';
import { datatypes } from '../../src/tensors/datatype.ts';
import { elementCount } from '../../src/tensors/shape.ts';
import type { Tensor } from '../../src/tensors/tensor.ts';
import { tensor } from '../support/builders.ts';

export const carriedDatatypes = datatypes.filter(
  (datatype): datatype is CarriedDatatype => datatype !== 'FP16',
);

const elementsOf: Readonly<Record<CarriedDatatype, fc.Arbitrary<number | bigint | string>>> = {
  BOOL: fc.integer({ min: 0, max: 1 }),
  UINT8: fc.integer({ min: 0, max: 255 }),
  UINT16: fc.integer({ min: 0, max: 65_535 }),
  UINT32: fc.integer({ min: 0, max: 4_294_967_295 }),
  UINT64: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
  INT8: fc.integer({ min: -128, max: 127 }),
  INT16: fc.integer({ min: -32_768, max: 32_767 }),
  INT32: fc.integer({ min: -2_147_483_648, max: 2_147_483_647 }),
  INT64: fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
  FP32: fc.float(),
  FP64: fc.double(),
  BYTES: fc.string({ unit: 'binary' }),
};

export function arbitraryTensor(datatype: CarriedDatatype, shape: readonly number[]): fc.Arbitrary<Tensor> {
  const length = elementCount(shape);
  return fc
    .array(elementsOf[datatype], { minLength: length, maxLength: length })
    .map((elements) => tensor(datatype, shape, elements));
}

export const arbitraryDatatype = fc.constantFrom(...carriedDatatypes);

/** Any datatype, rank 0 to 4. */
export const arbitraryAnyTensor: fc.Arbitrary<Tensor> = fc
  .tuple(arbitraryDatatype, fc.array(fc.integer({ min: 1, max: 4 }), { maxLength: 4 }))
  .chain(([datatype, shape]) => arbitraryTensor(datatype, shape));
