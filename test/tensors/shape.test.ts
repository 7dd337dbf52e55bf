import { expect } from 'chai';
import { byteWidth, datatypes } from '../../src/tensors/datatype.ts';
import { elementCount, isFixed, printShape, sameRowShape } from '../../src/tensors/shape.ts';
import { makeTensor } from '../../src/tensors/tensor.ts';

describe('shapes', () => {
  it('count elements', () => {
    expect(elementCount([])).to.equal(1);
    expect(elementCount([2, 3, 4])).to.equal(24);
    expect(elementCount([5, 0])).to.equal(0);
  });

  it('are open where a dimension is -1', () => {
    expect(isFixed([1, 4])).to.equal(true);
    expect(isFixed([1, -1])).to.equal(false);
    expect(printShape([-1, 4])).to.equal('[?, 4]');
  });

  it('have the same rows when they differ in axis 0 only', () => {
    expect(sameRowShape([1, 4], [9, 4])).to.equal(true);
    expect(sameRowShape([1, 4], [1, 5])).to.equal(false);
    expect(sameRowShape([1, 4], [1, 4, 1])).to.equal(false);
  });

  it('hold as many elements as a tensor has', () => {
    expect(makeTensor('INT8', [2], Int8Array.of(1, 2)).shape).to.deep.equal([2]);
    expect(() => makeTensor('INT8', [3], Int8Array.of(1, 2))).to.throw(RangeError, '[3] cannot hold 2');
  });

  it('are of elements with the width of their datatype', () => {
    for (const datatype of datatypes) {
      if (datatype === 'BYTES' || datatype === 'FP16') continue;
      const bits = /\d+$/.exec(datatype)?.[0] ?? '8';
      expect(byteWidth(datatype), datatype).to.equal(Number(bits) / 8);
    }
  });
});
