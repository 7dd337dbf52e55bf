import { expect } from 'chai';
import { compilePacker } from '../../src/processing/pack-instance.ts';
import { compilePreprocess } from '../../src/processing/preprocess/compile.ts';
import type { ModelVersion } from '../../src/registry/model-version.ts';
import { joinRows } from '../../src/tensors/batch.ts';
import { unpackRow } from '../../src/tensors/json-unpacker.ts';
import type { Tensor } from '../../src/tensors/tensor.ts';
import { buildVersion, penguinsVersion, spec, tensor, wineVersion } from '../support/builders.ts';
import { refusalOf } from '../support/refusals.ts';

function preprocess(version: ModelVersion, rows: readonly unknown[]): ReadonlyMap<string, Tensor> {
  const pack = compilePacker(version);
  return compilePreprocess(version)(joinRows(rows.map((row) => pack(row, 'inputs'))));
}

const mixed = buildVersion({
  manifest: {
    features: [
      { name: 'age', missing: 40, scale: { mean: 40, std: 10 } },
      { name: 'color', one_hot: ['red', 'green'], missing: 'green' },
      { name: 'size', one_hot: ['s', 'm', 'l'] },
      { name: 'plain' },
    ],
  },
  inputs: [spec('X', 'FP32', [-1, 7])],
});

describe('request tensors become graph inputs', () => {
  it('as they are where the manifest asks for nothing', () => {
    const version = wineVersion();
    const batch = compilePacker(version)([1, 2, 3, 4, 5], 'inputs');
    expect(compilePreprocess(version)(batch)).to.equal(batch);
  });

  it('filled, scaled and one-hot by feature', () => {
    const rows = [[50, 'red', 'l', 1], [null, null, 's', 'NaN'], { size: 'm', plain: 3 }];
    const graph = preprocess(mixed, rows).get('X');
    expect(graph).to.include({ datatype: 'FP32' });
    expect(graph?.shape).to.deep.equal([3, 7]);
    expect(unpackRow(graph!, 0)).to.deep.equal([1, 1, 0, 0, 0, 1, 1]);
    expect(unpackRow(graph!, 1)).to.deep.equal([0, 0, 1, 1, 0, 0, 'NaN']);
    expect(unpackRow(graph!, 2)).to.deep.equal([0, 0, 1, 0, 1, 0, 3]);
  });

  it('as integers for a graph of integers', () => {
    const version = buildVersion({
      manifest: {
        features: [
          { name: 'a', missing: -1 },
          { name: 'b', one_hot: ['x', 'y'] },
        ],
      },
      inputs: [spec('X', 'INT64', [-1, 3])],
    });
    const graph = preprocess(version, [
      [2 ** 53 - 1, 'y'],
      [null, 'x'],
    ]).get('X');
    expect(graph).to.include({ datatype: 'INT64' });
    expect([...graph!.data]).to.deep.equal([2n ** 53n - 1n, 0n, 1n, -1n, 1n, 0n]);
  });

  it('scaled in double precision for FP64', () => {
    const version = buildVersion({
      manifest: { features: [{ name: 'a', scale: { mean: 0.1, std: 3 } }] },
      inputs: [spec('X', 'FP64', [-1, 1])],
    });
    expect([...preprocess(version, [[1.7], [0.2]]).get('X')!.data]).to.deep.equal([
      (1.7 - 0.1) / 3,
      (0.2 - 0.1) / 3,
    ]);
  });

  it('filled and scaled by input', () => {
    const base = penguinsVersion();
    const version: ModelVersion = {
      ...base,
      manifest: {
        ...base.manifest,
        inputs: { ...base.manifest.inputs, bill_length_mm: { scale: { mean: 40, std: 5 } } },
      },
    };
    const batch = preprocess(version, [
      { island: 'Biscoe', bill_length_mm: 45 },
      { island: 'Dream', bill_length_mm: 40, body_mass_g: 3000, sex: 'male' },
    ]);
    const plain = [...batch].map(([name, part]) => [name, [...part.data]]);
    expect(plain).to.deep.equal([
      ['island', ['Biscoe', 'Dream']],
      ['sex', ['unknown', 'male']],
      ['bill_length_mm', [1, 0]],
      ['body_mass_g', [4200, 3000]],
    ]);
  });

  it('and the request tensors stay as they were', () => {
    const batch = compilePacker(mixed)([null, 'red', 's', 1], 'inputs');
    const before = [...batch.get('X')!.data];
    compilePreprocess(mixed)(batch);
    expect([...batch.get('X')!.data]).to.deep.equal(before);
  });

  it('unless a category index is one that packing cannot have made', () => {
    const batch = new Map([['X', tensor('FP32', [1, 4], [1, 2, 0, 0])]]);
    expect(refusalOf(() => compilePreprocess(mixed)(batch), 'internal_error').message).to.contain(
      'category 2 of 2',
    );
  });
});
