import { expect } from 'chai';
import { compilePacker } from '../../src/processing/pack-instance.ts';
import { RowsPacker } from '../../src/processing/rows-packer.ts';
import { joinRows, rowCount } from '../../src/tensors/batch.ts';
import { encodeTensors } from '../../src/tensors/binary-codec.ts';
import { buildVersion, penguinsVersion, spec, wineVersion } from '../support/builders.ts';
import type { ModelVersion } from '../../src/registry/model-version.ts';

/** What a packer of rows makes of them is what packing each and joining them makes. */
function expectLikeInstances(version: ModelVersion, instances: readonly unknown[]): void {
  const packer = new RowsPacker(version);
  for (let round = 0; round < 2; round++) {
    for (const instance of instances) expect(packer.add(instance, 'inputs')).to.equal(true);
    expect(packer.rowCount).to.equal(instances.length);
    const packed = packer.take();
    const joined = joinRows(instances.map((instance) => compilePacker(version)(instance, 'inputs')));
    expect(encodeTensors(packed).equals(encodeTensors(joined))).to.equal(true);
    expect(packer.rowCount).to.equal(0);
  }
}

function messageOf(action: () => unknown): string {
  try {
    action();
  } catch (error) {
    return (error as Error).message;
  }
  throw new Error('nothing was thrown');
}

describe('packing of rows', () => {
  it('packs features by order and by name, more rows than its first memory holds', () => {
    const byName = { alcohol: 1, flavanoids: 2, color_intensity: 3, hue: 4, proline: 5 };
    const instances = Array.from({ length: 300 }, (_, row) => (row % 3 === 0 ? byName : [row, 1, 2, 3, 0.5]));
    expectLikeInstances(wineVersion(), instances);
  });

  it('packs several inputs, strings and what is left out among them', () => {
    expectLikeInstances(penguinsVersion(), [
      { island: 'Biscoe', sex: 'male', bill_length_mm: 40.5, body_mass_g: 3000 },
      { island: 'Dream', sex: null, bill_length_mm: 'NaN' },
      { island: ['Dream'], bill_length_mm: [39], body_mass_g: null },
    ]);
  });

  it('packs nested and flat arrays, wide integers and rows of open length', () => {
    const nested = buildVersion({ inputs: [spec('x', 'INT64', [-1, 2, 2])] });
    expectLikeInstances(nested, [
      [
        [1, 2],
        [3, '9223372036854775807'],
      ],
      [1, 2, 3, 4],
    ]);
    const open = buildVersion({ inputs: [spec('x', 'FP32', [-1, -1]), spec('t', 'BYTES', [-1, -1])] });
    expectLikeInstances(open, [
      { x: [1, 2], t: ['a'] },
      { x: [3, 4], t: ['b'] },
    ]);
  });

  it('refuses as an instance is refused, and keeps the rows before and after', () => {
    const version = penguinsVersion();
    const packer = new RowsPacker(version);
    const right = { island: 'Biscoe', sex: 'male', bill_length_mm: 40.5, body_mass_g: 3000 };
    packer.add(right, 'inputs');
    const bytes = packer.bytes;
    const bad = [
      [1],
      { ...right, island: 1 },
      { ...right, bill_length_mm: 'x' },
      { ...right, more: 1 },
      17,
      null,
    ];
    for (const instance of bad)
      expect(messageOf(() => packer.add(instance, 'line 2'))).to.equal(
        messageOf(() => compilePacker(version)(instance, 'line 2')),
      );
    expect(packer.bytes).to.equal(bytes);
    packer.add({ ...right, island: 'Dream' }, 'inputs');
    const tensors = packer.take();
    expect(rowCount(tensors)).to.equal(2);
    expect(tensors.get('island')?.data).to.deep.equal(['Biscoe', 'Dream']);
  });

  it('names the place within a nested value wherever its row lies', () => {
    const version = buildVersion({ inputs: [spec('x', 'FP32', [-1, 2, 2])] });
    const packer = new RowsPacker(version);
    packer.add([1, 2, 3, 4], 'inputs');
    const bad = [
      [1, 2],
      [3, true],
    ];
    expect(messageOf(() => packer.add(bad, 'inputs'))).to.contain('inputs[1][1]');
  });

  it('tells when a row has another shape, and takes it once the rows before are out', () => {
    const packer = new RowsPacker(
      buildVersion({ inputs: [spec('n', 'FP32', [-1, 1]), spec('x', 'FP32', [-1, -1])] }),
    );
    expect(packer.add({ n: 1, x: [1, 2] }, 'inputs')).to.equal(true);
    expect(packer.add({ n: 2, x: [1, 2, 3] }, 'inputs')).to.equal(false);
    expect(packer.rowCount).to.equal(1);
    expect(packer.take().get('n')?.data).to.deep.equal(Float32Array.of(1));
    expect(packer.add({ n: 2, x: [1, 2, 3] }, 'inputs')).to.equal(true);
    expect(packer.take().get('x')?.shape).to.deep.equal([1, 3]);
  });

  it('has no tensors without rows', () => {
    expect(new RowsPacker(wineVersion()).take().size).to.equal(0);
  });
});
