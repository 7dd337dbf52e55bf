import { expect } from 'chai';
import { compilePacker } from '../../src/processing/pack-instance.ts';
import type { ModelVersion } from '../../src/registry/model-version.ts';
import { buildVersion, penguinsVersion, spec, wineVersion } from '../support/builders.ts';
import { placesOf, refusalOf } from '../support/refusals.ts';

function pack(version: ModelVersion, inputs: unknown): Record<string, unknown[]> {
  const tensors = compilePacker(version)(inputs, 'inputs');
  return Object.fromEntries([...tensors].map(([name, tensor]) => [name, [...tensor.data]]));
}

const image = buildVersion({ inputs: [spec('image', 'FP32', [-1, 2, 2])] });
const text = buildVersion({ inputs: [spec('ids', 'INT64', [-1, -1]), spec('mask', 'BOOL', [-1, -1])] });
const scalar = buildVersion({ inputs: [spec('x', 'FP64', [-1])] });
const whole = buildVersion({
  inputs: [spec('m', 'INT8', [3, 2])],
  outputs: [spec('Y', 'FP32', [1])],
  batch: { kind: 'none' },
});
const single = buildVersion({
  inputs: [spec('X', 'FP16', [1, 2])],
  outputs: [spec('Y', 'FP32', [1, 1])],
  batch: { kind: 'fixed', size: 1 },
});
const features = buildVersion({
  manifest: {
    features: [
      { name: 'age', missing: 40, scale: { mean: 40, std: 10 } },
      { name: 'color', one_hot: ['red', 'green'], missing: 'red' },
      { name: 'size', one_hot: ['s', 'm', 'l'] },
      { name: 'X' },
    ],
  },
  inputs: [spec('X', 'FP32', [-1, 7])],
});
const counts = buildVersion({
  manifest: { features: [{ name: 'a' }, { name: 'b', missing: 0 }] },
  inputs: [spec('X', 'INT64', [-1, 2])],
});

describe('an instance is packed', () => {
  const { NaN: missing } = Number;
  const cases: readonly [why: string, ModelVersion, inputs: unknown, packed: Record<string, unknown[]>][] = [
    ["the document's example", wineVersion(), [1.5, 2, 3.25, 4.5, 5], { X: [1.5, 2, 3.25, 4.5, 5] }],
    ['features under the input name', wineVersion(), { X: [1, 2, 3, 4, 5] }, { X: [1, 2, 3, 4, 5] }],
    [
      'features by name, in any order',
      wineVersion(),
      { proline: 5, hue: 4, color_intensity: 3, flavanoids: 2, alcohol: 1 },
      { X: [1, 2, 3, 4, 5] },
    ],
    ['categories as their index', features, [30, 'green', 'l', 2], { X: [30, 1, 2, 2] }],
    [
      'nulls where something stands for them',
      features,
      [null, null, 's', 0],
      { X: [missing, missing, 0, 0] },
    ],
    ['features left out', features, { size: 'm', X: 'Infinity' }, { X: [missing, missing, 1, Infinity] }],
    ['a feature that bears the input name', features, { X: 1, size: 's' }, { X: [missing, missing, 0, 1] }],
    ['integer features', counts, [2 ** 53 - 1, null], { X: [2 ** 53 - 1, missing] }],
    [
      'nested',
      image,
      [
        [1, 2],
        [3, 4],
      ],
      { image: [1, 2, 3, 4] },
    ],
    ['flat', image, [1, 2, 3, 4], { image: [1, 2, 3, 4] }],
    [
      'one input by name',
      image,
      {
        image: [
          [1, 2],
          [3, 4],
        ],
      },
      { image: [1, 2, 3, 4] },
    ],
    ['several inputs by name', text, { mask: [true, false], ids: [1, '2'] }, { ids: [1n, 2n], mask: [1, 0] }],
    ['a bare number', scalar, 2.5, { x: [2.5] }],
    [
      'a model without batch axis',
      whole,
      [
        [1, 2],
        [3, 4],
        [5, 6],
      ],
      { m: [1, 2, 3, 4, 5, 6] },
    ],
    ['a model of batch size 1', single, [0.5, -65_504], { X: [0.5, -65_504] }],
    [
      'inputs of one column, missing ones filled',
      penguinsVersion(),
      { island: 'Biscoe', sex: null, bill_length_mm: [39.5] },
      { island: ['Biscoe'], sex: ['unknown'], bill_length_mm: [39.5], body_mass_g: [missing] },
    ],
  ];
  for (const [why, version, inputs, packed] of cases)
    it(`from ${why}`, () => {
      expect(pack(version, inputs)).to.deep.equal(packed);
    });

  it('with a row axis of 1 before the row shape, in the order of the signature', () => {
    const tensors = compilePacker(text)({ mask: [1, 0], ids: [1, 2] }, 'inputs');
    expect([...tensors.keys()]).to.deep.equal(['ids', 'mask']);
    expect([...tensors.values()].map((tensor) => tensor.shape)).to.deep.equal([
      [1, 2],
      [1, 2],
    ]);
    expect(compilePacker(scalar)(1, 'inputs').get('x')?.shape).to.deep.equal([1]);
    expect(compilePacker(whole)([1, 2, 3, 4, 5, 6], 'inputs').get('m')?.shape).to.deep.equal([1, 3, 2]);
    expect(compilePacker(single)([1, 2], 'inputs').get('X')).to.include({ datatype: 'FP32' });
  });

  it('by a packer that is compiled once', () => {
    const version = wineVersion();
    expect(compilePacker(version)).to.equal(compilePacker(version));
  });
});

describe('an instance is refused', () => {
  const five = [1, 2, 3, 4, 5];
  const byName = { alcohol: 1, flavanoids: 2, color_intensity: 3, hue: 4, proline: 5 };
  const penguin = { island: 'Biscoe', bill_length_mm: 39.5 };
  const proto: unknown = JSON.parse('{"__proto__": 1, "constructor": 2}');
  const cases: readonly [why: string, ModelVersion, inputs: unknown, path: string, expected: RegExp][] = [
    ['too few features', wineVersion(), [1, 2], 'inputs', /^an array of 5/],
    ['a batch', wineVersion(), [five], 'inputs', /^an array of 5/],
    [
      'text for a number',
      wineVersion(),
      [1, 'x', 3, 4, 5],
      'inputs[1]',
      /^for feature "flavanoids" a number/,
    ],
    ['null without missing', wineVersion(), [1, null, 3, 4, 5], 'inputs[1]', /"flavanoids"/],
    ['an array within', wineVersion(), [1, [2], 3, 4, 5], 'inputs[1]', /"flavanoids"/],
    ['overflow', wineVersion(), [1, 2, 3, 4, 1e39], 'inputs[4]', /range of FP32/],
    ['no inputs', wineVersion(), undefined, 'inputs', /array in the order of the features or an object/],
    ['text', wineVersion(), 'abc', 'inputs', /array in the order/],
    ['a feature left out', wineVersion(), { ...byName, hue: undefined }, 'inputs.hue', /"hue"/],
    ['a misspelt feature', wineVersion(), { ...byName, alcohool: 1 }, 'inputs.alcohool', /such as alcohol$/],
    [
      'a strange feature',
      wineVersion(),
      { ...byName, zzzzzz: 1 },
      'inputs.zzzzzz',
      /name of a known feature/,
    ],
    ['a name with a dot', wineVersion(), { ...byName, 'a.b c': 1 }, 'inputs["a.b c"]', /feature/],
    [
      'an unknown category',
      features,
      [1, 'blue', 's', 1],
      'inputs[1]',
      /^for feature "color" one of "red", "green"$/,
    ],
    ['an index for a category', features, [1, 1, 's', 1], 'inputs[1]', /one of/],
    ['a fraction for an integer feature', counts, [1.5, 2], 'inputs[0]', /an integer/],
    ['an unsafe integer feature', counts, [2 ** 53, 2], 'inputs[0]', /an integer/],
    ['an inherited category', features, [1, 'constructor', 's', 1], 'inputs[1]', /one of/],
    [
      'an array for several inputs',
      text,
      [1, 2],
      'inputs',
      /an object with a value for each of the 2 inputs/,
    ],
    ['a missing input', text, { ids: [1] }, 'inputs.mask', /a value for this input/],
    ['an unknown input', text, { ids: [1], mask: [1], maks: [1] }, 'inputs.maks', /such as mask$/],
    ['prototype names for features', wineVersion(), proto, 'inputs.alcohol', /a value for this feature/],
    ['prototype names for inputs', text, proto, 'inputs.ids', /a value for this input/],
    ['prototype names for one input', image, proto, 'inputs.image', /a value for this input/],
    ['a wrong element of a named input', text, { ids: [1, 'x'], mask: [1] }, 'inputs.ids[1]', /an integer/],
    [
      'a wrong element deep inside',
      image,
      {
        image: [
          [1, 2],
          [3, 'x'],
        ],
      },
      'inputs.image[1][1]',
      /a number/,
    ],
    ['too wide a float16', single, [1, 65_520], 'inputs[1]', /range of FP16/],
    [
      'null for an input that must be',
      penguinsVersion(),
      { ...penguin, island: null },
      'inputs.island',
      /a string/,
    ],
  ];
  for (const [why, version, inputs, path, expected] of cases)
    it(`for ${why}`, () => {
      const place = placesOf(() => compilePacker(version)(inputs, 'inputs'))[0];
      expect(place?.path).to.equal(path);
      expect(place?.expected).to.match(expected);
    });

  it('with every missing and unknown name, up to ten', () => {
    const places = placesOf(() => compilePacker(wineVersion())({ alcohol: 1, hew: 2, __x: 3 }, 'inputs[17]'));
    expect(places.map((place) => place.path)).to.deep.equal([
      'inputs[17].flavanoids',
      'inputs[17].color_intensity',
      'inputs[17].hue',
      'inputs[17].proline',
      'inputs[17].hew',
      'inputs[17].__x',
    ]);
    const many = Object.fromEntries(Array.from({ length: 5000 }, (_, index) => [`n${index}`, 0]));
    expect(placesOf(() => compilePacker(wineVersion())(many, 'inputs'))).to.have.length(10);
  });

  it('without repeating a long name', () => {
    const long = 'n'.repeat(100_000);
    const act = () => compilePacker(text)({ ids: [1], mask: [1], [long]: 1 }, 'inputs');
    expect(placesOf(act)[0]?.path).to.equal(`inputs["${'n'.repeat(40)}…"]`);
    expect(refusalOf(act).message).to.have.length.below(150);
  });

  it('with a message that says it all', () => {
    expect(refusalOf(() => compilePacker(image)([[1, 2], [3]], 'inputs')).message).to.equal(
      'inputs[1]: expected an array of 2 (shape [2, 2]), found an array of 1',
    );
  });
});
