import { expect } from 'chai';
import fc from 'fast-check';
import { compileCanonicalKey } from '../../src/api/canonical-key.ts';
import { compilePacker } from '../../src/processing/pack-instance.ts';
import type { NamedTensors, Tensor } from '../../src/tensors/tensor.ts';
import { buildVersion, spec, tensor, wineVersion } from '../support/builders.ts';
import type { VersionParts } from '../support/builders.ts';
import { arbitraryAnyTensor } from '../tensors/arbitrary-tensors.ts';

const version = buildVersion({ inputs: [spec('x', 'FP32', [-1, 2])] });
const keyOf = compileCanonicalKey(version);

/** Elements apart by value and sign; the NaNs that a tensor of ours can hold are one. */
function sameTensor(left: Tensor | undefined, right: Tensor | undefined): boolean {
  if (left === undefined || right === undefined || left.datatype !== right.datatype) return false;
  if (String(left.shape) !== String(right.shape)) return false;
  return [...left.data].every((element, index) => Object.is(element, right.data[index]));
}

function sameTensors(left: NamedTensors, right: NamedTensors): boolean {
  return (
    String([...left.keys()]) === String([...right.keys()]) &&
    [...left].every(([name, each]) => sameTensor(each, right.get(name)))
  );
}

const named = fc
  .array(fc.tuple(fc.constantFrom('a', 'b', 'ä'), arbitraryAnyTensor), { minLength: 1, maxLength: 3 })
  .map((pairs): NamedTensors => new Map(pairs));

describe('canonical key', () => {
  it('is equal iff the packed inputs are', () => {
    let equal = 0;
    fc.assert(
      fc.property(named, named, fc.boolean(), (left, right, copied) => {
        // Two of a kind are rare by chance.
        const other = copied ? structuredClone(left) : right;
        const same = sameTensors(left, other);
        if (same) equal += 1;
        expect(keyOf(left, null) === keyOf(other, null)).to.equal(same);
      }),
      { numRuns: 500 },
    );
    expect(equal).to.be.above(100);
  });

  it('is told apart by a single element', () => {
    fc.assert(
      fc.property(arbitraryAnyTensor, fc.nat(), (first, place) => {
        const index = place % first.data.length;
        const data = [...first.data] as (number | bigint | string)[];
        const element = data[index] as number | bigint | string;
        data[index] = changed(element);
        const second = tensor(first.datatype, first.shape, data);
        // The float32 of a number may be that of its changed one.
        fc.pre(!sameTensor(first, second));
        expect(keyOf(new Map([['x', first]]), null)).not.to.equal(keyOf(new Map([['x', second]]), null));
      }),
    );
  });

  it('knows 0 from -0, and one NaN', () => {
    const pack = compilePacker(version);
    const keys = [
      [0, 1],
      [-0, 1],
      ['NaN', 1],
      ['NaN', 1],
    ].map((instance) => keyOf(pack(instance, 'inputs'), null));
    expect(new Set(keys).size).to.equal(3);
    expect(keys[2]).to.equal(keys[3]);
  });

  it('is that of the values, not of the way in which they are written', () => {
    const wine = wineVersion();
    const pack = compilePacker(wine);
    const wineKey = compileCanonicalKey(wine);
    const named = { proline: 5, hue: 4, color_intensity: 3, flavanoids: 2, alcohol: 1.0 };
    expect(wineKey(pack(named, 'inputs'), null)).to.equal(wineKey(pack([1, 2, 3, 4, 5], 'inputs'), null));
  });

  it('knows which outputs are asked for, in whatever order', () => {
    const tensors = new Map([['x', tensor('FP32', [1, 2], [1, 2])]]);
    expect(keyOf(tensors, ['a', 'b'])).to.equal(keyOf(tensors, ['b', 'a']));
    const keys = [null, ['a'], ['b'], ['a', 'b'], ['ab'], ['a,b']].map((outputs) => keyOf(tensors, outputs));
    expect(new Set(keys).size).to.equal(keys.length);
  });

  it('knows everything of a version that its results come from', () => {
    const inputs = [spec('x', 'FP32', [-1, 2])];
    const outputs = [spec('y', 'FP32', [-1, 2])];
    const others: VersionParts[] = [
      { model: 'other' },
      { version: '2' },
      { servedDigest: 'f'.repeat(64) },
      { manifest: { postprocess: [{ op: 'softmax', output: 'y' }] } },
      { manifest: { inputs: { x: { missing: 1 } } } },
      { labels: ['a', 'b'] },
      { roles: { task: 'regression', value: 'y' } },
    ];
    const tensors = new Map([['x', tensor('FP32', [1, 2], [1, 2])]]);
    const keys = [{}, ...others].map((parts) =>
      compileCanonicalKey(buildVersion({ inputs, outputs, ...parts }))(tensors, null),
    );
    expect(new Set(keys).size).to.equal(keys.length);
    // Loaded again from the store it is another object of the same facts.
    expect(compileCanonicalKey(buildVersion({ inputs, outputs }))(tensors, null)).to.equal(keys[0]);
  });
});

function changed(element: number | bigint | string): number | bigint | string {
  if (typeof element === 'string') return `${element}x`;
  return typeof element === 'bigint' ? element ^ 1n : element === 0 ? 1 : 0;
}
