import { expect } from 'chai';
import { checkInputRules } from '../../src/processing/input-rules.ts';
import { checkOutputs } from '../../src/processing/result-outputs.ts';
import { inferRoles } from '../../src/processing/roles.ts';
import type { Manifest } from '../../src/registry/manifest.ts';
import type { TensorSpec } from '../../src/tensors/tensor-spec.ts';
import { penguinsVersion, spec, wineVersion } from '../support/builders.ts';
import { placesOf } from '../support/refusals.ts';

function roles(manifest: Partial<Manifest>, outputs: readonly TensorSpec[]) {
  return inferRoles(
    { schema_version: 1, name: 'm', ...manifest },
    { inputs: [spec('X', 'FP32', [-1, 3])], outputs, batch: { kind: 'dynamic' } },
  );
}

const label = spec('output_label', 'INT64', [-1]);
const probability = spec('output_probability', 'FP32', [-1, 3]);

describe('roles of outputs', () => {
  it('are told from datatypes and shapes', () => {
    expect(roles({ task: 'classification' }, [label, probability])).to.deep.equal({
      task: 'classification',
      label: 'output_label',
      probabilities: 'output_probability',
    });
    expect(roles({ task: 'classification' }, [spec('P', 'FP32', [-1, -1])])).to.deep.equal({
      task: 'classification',
      label: null,
      probabilities: 'P',
    });
    expect(roles({ task: 'regression' }, [label, spec('y', 'FP64', [-1, 1])])).to.deep.equal({
      task: 'regression',
      value: 'y',
    });
    expect(roles({}, [])).to.deep.equal({ task: 'tensor' });
  });

  it('are told from usual names where several outputs fit', () => {
    const features = spec('embedding', 'FP32', [-1, 64]);
    expect(roles({ task: 'classification' }, [features, label, probability])).to.include({
      probabilities: 'output_probability',
    });
  });

  it('are what the manifest names, steps included', () => {
    const manifest: Partial<Manifest> = {
      task: 'classification',
      labels: ['a', 'b', 'c'],
      outputs: { label: 'best', probabilities: 'logits' },
      postprocess: [
        { op: 'softmax', output: 'logits' },
        { op: 'argmax', output: 'logits', to: 'best' },
      ],
    };
    const outputs = [spec('logits', 'FP32', [-1, 3]), spec('aux', 'FP32', [-1, 3])];
    expect(roles(manifest, outputs)).to.include({ label: 'best', probabilities: 'logits' });
  });

  it('go without probabilities that cannot be told when the label is named', () => {
    const outputs = [label, spec('a', 'FP32', [-1, 3]), spec('b', 'FP32', [-1, 3])];
    const manifest: Partial<Manifest> = { task: 'classification', outputs: { label: 'output_label' } };
    expect(roles(manifest, outputs)).to.include({ label: 'output_label', probabilities: null });
  });

  const two = [spec('a', 'FP32', [-1, 3]), spec('b', 'FP32', [-1, 3])];
  const cases: readonly [
    why: string,
    Partial<Manifest>,
    readonly TensorSpec[],
    path: string,
    expected: RegExp,
  ][] = [
    [
      'ambiguous probabilities',
      { task: 'classification' },
      two,
      'outputs.probabilities',
      /^the name of a float output/,
    ],
    ['ambiguous value', { task: 'regression' }, two, 'outputs.value', /^the name of/],
    ['no value', { task: 'regression' }, [label], 'outputs.value', /^the name of/],
    [
      'no class',
      { task: 'classification' },
      [spec('y', 'FP32', [-1, 3, 3])],
      'outputs.label',
      /^the name of/,
    ],
    ['unknown output', { task: 'regression', outputs: { value: 'aa' } }, two, 'outputs.value', /such as a$/],
    [
      'misfit',
      { task: 'classification', outputs: { label: 'a' } },
      two,
      'outputs.label',
      /INT64, INT32 or BYTES/,
    ],
    [
      'labels of another count',
      { task: 'classification', labels: ['x', 'y'] },
      [probability],
      'labels',
      /^3 labels/,
    ],
    [
      'one label for one score',
      { task: 'classification', labels: ['x'] },
      [spec('p', 'FP32', [-1, 1])],
      'labels',
      /^2 labels/,
    ],
    [
      'step of an unknown output',
      { postprocess: [{ op: 'softmax', output: 'c' }] },
      two,
      'postprocess[0].output',
      /known output/,
    ],
    [
      'softmax of integers',
      { postprocess: [{ op: 'softmax', output: 'output_label' }] },
      [label],
      'postprocess[0].output',
      /float/,
    ],
    [
      'softmax of one score',
      { postprocess: [{ op: 'softmax', output: 'p' }] },
      [spec('p', 'FP32', [-1])],
      'postprocess[0].output',
      /axis/,
    ],
    [
      'argmax of strings',
      { postprocess: [{ op: 'argmax', output: 's', to: 't' }] },
      [spec('s', 'BYTES', [-1, 2])],
      'postprocess[0].output',
      /numeric/,
    ],
    [
      'threshold of three',
      { postprocess: [{ op: 'threshold', output: 'a', at: 0.5, to: 't' }] },
      two,
      'postprocess[0].output',
      /one or two/,
    ],
    [
      'step onto an output',
      { postprocess: [{ op: 'argmax', output: 'a', to: 'b' }] },
      two,
      'postprocess[0].to',
      /no output/,
    ],
  ];
  for (const [why, manifest, outputs, path, expected] of cases)
    it(`are refused for ${why}`, () => {
      const place = placesOf(() => roles(manifest, outputs))[0];
      expect(place?.path).to.equal(path);
      expect(place?.expected).to.match(expected);
    });
});

describe('checkOutputs', () => {
  const check = (names: string[]) => () => checkOutputs(wineVersion(), names, 'parameters.outputs');

  it('passes outputs of the version', () => {
    expect(check(['probabilities', 'label'])).not.to.throw();
  });

  it('refuses unknown names, repeats and none', () => {
    expect(placesOf(check(['label', 'lable']))[0]).to.deep.equal({
      path: 'parameters.outputs[1]',
      expected: 'a known output, such as label',
      found: 'an unknown output',
    });
    expect(placesOf(check(['label', 'label']))[0]?.path).to.equal('parameters.outputs[1]');
    expect(placesOf(check(['__proto__']))[0]?.path).to.equal('parameters.outputs[0]');
    expect(placesOf(check([]))[0]?.path).to.equal('parameters.outputs');
  });
});

describe('checkInputRules', () => {
  const check = (manifest: Partial<Manifest>, inputs: readonly TensorSpec[]) =>
    checkInputRules({
      manifest: { schema_version: 1, name: 'm', ...manifest },
      signature: { inputs, outputs: [], batch: { kind: 'dynamic' } },
    }).map((place) => place.path);

  it('passes what fits', () => {
    expect(checkInputRules(wineVersion())).to.deep.equal([]);
    expect(checkInputRules(penguinsVersion())).to.deep.equal([]);
    expect(
      check({ features: [{ name: 'a' }, { name: 'b', one_hot: ['x', 'y'] }] }, [spec('X', 'FP16', [-1, -1])]),
    ).to.deep.equal([]);
  });

  const features = [{ name: 'a' }, { name: 'b', one_hot: ['x', 'y'] }];
  const scale = { mean: 0, std: 1 };
  const cases: readonly [why: string, Partial<Manifest>, readonly TensorSpec[], paths: string[]][] = [
    [
      'features of two inputs',
      { features },
      [spec('X', 'FP32', [-1, 3]), spec('Y', 'FP32', [-1, 3])],
      ['features'],
    ],
    ['features of no input', { features }, [], ['features']],
    ['features of strings', { features }, [spec('X', 'BYTES', [-1, 3])], ['features']],
    ['too few columns', { features }, [spec('X', 'FP32', [-1, 4])], ['features']],
    ['columns over two axes', { features }, [spec('X', 'FP32', [-1, 1, 3])], ['features']],
    [
      'a scaled integer feature',
      { features: [{ name: 'a', scale }] },
      [spec('X', 'INT64', [-1, 1])],
      ['features[0].scale'],
    ],
    ['an unknown input', { inputs: { Y: {} } }, [spec('X', 'FP32', [-1, 1])], ['inputs.Y']],
    [
      'a scaled integer input',
      { inputs: { X: { scale } } },
      [spec('X', 'INT64', [-1, 1])],
      ['inputs.X.scale'],
    ],
    [
      'a number missing from strings',
      { inputs: { X: { missing: 1 } } },
      [spec('X', 'BYTES', [-1, 1])],
      ['inputs.X.missing'],
    ],
    [
      'a fraction missing from integers',
      { inputs: { X: { missing: 0.5 } } },
      [spec('X', 'INT8', [-1, 1])],
      ['inputs.X.missing'],
    ],
  ];
  for (const [why, manifest, inputs, paths] of cases)
    it(`finds ${why}`, () => {
      expect(check(manifest, inputs)).to.deep.equal(paths);
    });
});
