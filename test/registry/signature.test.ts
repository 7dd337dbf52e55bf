import { expect } from 'chai';
import type { Manifest } from '../../src/registry/manifest.ts';
import { batchAxisOf, completeSignature } from '../../src/registry/signature.ts';
import type { SignatureDeclaration } from '../../src/registry/signature.ts';

const manifest: Manifest = { schema_version: 1, name: 'm' };
const padded: Manifest = { ...manifest, batching: { pad: true } };

function declare(
  inputs: readonly (readonly number[])[],
  outputs: readonly (readonly number[] | null)[],
): SignatureDeclaration {
  return {
    inputs: inputs.map((shape, index) => ({ name: `i${index}`, datatype: 'FP32', shape })),
    outputs: outputs.map((shape, index) => ({ name: `o${index}`, datatype: 'FP32', shape })),
  };
}

describe('batch axis', () => {
  const cases: readonly [string, SignatureDeclaration, Manifest, object][] = [
    ['dynamic everywhere', declare([[-1, 2], [-1]], [[-1, 3]]), manifest, { kind: 'dynamic' }],
    ['dynamic beside an open rank', declare([[-1, 2]], [null, [-1]]), manifest, { kind: 'dynamic' }],
    ['fixed at 1', declare([[1, 3]], [[1]]), manifest, { kind: 'fixed', size: 1 }],
    ['fixed at 4, padded', declare([[4, 3]], [[4]]), padded, { kind: 'fixed', size: 4 }],
    ['fixed at 4', declare([[4, 3]], [[4]]), manifest, { kind: 'none' }],
    ['mixed inputs', declare([[-1, 3], [4]], [[-1]]), padded, { kind: 'none' }],
    ['an output without it', declare([[-1, 3]], [[3]]), manifest, { kind: 'none' }],
    ['a scalar output', declare([[-1, 3]], [[]]), manifest, { kind: 'none' }],
    ['a scalar input', declare([[]], [[]]), manifest, { kind: 'none' }],
    ['no input', declare([], [[-1]]), manifest, { kind: 'none' }],
    ['no rows', declare([[0, 3]], [[0]]), padded, { kind: 'none' }],
  ];
  for (const [what, declared, given, expected] of cases)
    it(`of ${what} is ${JSON.stringify(expected)}`, () => {
      expect(batchAxisOf(declared, given)).to.deep.equal(expected);
    });

  it('completes an open rank from a run', () => {
    const declared = declare([[1, 2]], [null]);
    const ranks = new Map([['o0', 2]]);
    const signature = completeSignature(declared, { kind: 'fixed', size: 1 }, ranks);
    expect(signature.outputs[0]?.shape).to.deep.equal([1, -1]);
    expect(completeSignature(declared, { kind: 'none' }, ranks).outputs[0]?.shape).to.deep.equal([-1, -1]);
  });
});
