import { expect } from 'chai';
import fc from 'fast-check';
import { argmax } from '../../src/processing/postprocess/argmax.ts';
import { compilePostprocess } from '../../src/processing/postprocess/compile.ts';
import { sigmoid } from '../../src/processing/postprocess/sigmoid.ts';
import { softmax } from '../../src/processing/postprocess/softmax.ts';
import { threshold } from '../../src/processing/postprocess/threshold.ts';
import type { Manifest } from '../../src/registry/manifest.ts';
import type { ModelVersion } from '../../src/registry/model-version.ts';
import type { NamedTensors, Tensor } from '../../src/tensors/tensor.ts';
import { buildVersion, regressionVersion, spec, tensor, wineVersion } from '../support/builders.ts';
import { refusalOf } from '../support/refusals.ts';

function plain(tensors: NamedTensors): Record<string, unknown> {
  return Object.fromEntries(
    [...tensors].map(([name, { datatype, shape, data }]) => [name, [datatype, shape, [...data]]]),
  );
}

function apply(
  version: ModelVersion,
  outputs: Record<string, Tensor>,
  rows: number,
  requested: string[] | null = null,
) {
  return plain(compilePostprocess(version).apply(new Map(Object.entries(outputs)), rows, requested));
}

function classifier(
  manifest: Partial<Manifest>,
  outputs: ModelVersion['signature']['outputs'],
): ModelVersion {
  return buildVersion({ manifest: { name: 'm', task: 'classification', ...manifest }, outputs });
}

describe('post-processing steps', () => {
  it('softmax sums to 1 over the last axis and keeps the order, however large the scores', () => {
    const scores = fc.array(fc.double({ min: -1e4, max: 1e4, noNaN: true }), { minLength: 6, maxLength: 6 });
    fc.assert(
      fc.property(scores, (elements) => {
        const { data, shape } = softmax(tensor('FP64', [2, 3], elements));
        expect(shape).to.deep.equal([2, 3]);
        for (const from of [0, 3]) {
          const row = [...(data as Float64Array)].slice(from, from + 3);
          expect(row.reduce((sum, value) => sum + value)).to.be.closeTo(1, 1e-12);
          for (const [i, value] of row.entries())
            for (const [j, other] of row.entries())
              if (elements[from + i]! > elements[from + j]!) expect(value).to.be.at.least(other);
        }
      }),
    );
  });

  it('softmax spreads NaN over its row only', () => {
    const { data } = softmax(tensor('FP64', [2, 2], [Number.NaN, 0, 0, 0]));
    expect([...data]).to.deep.equal([Number.NaN, Number.NaN, 0.5, 0.5]);
  });

  it('sigmoid is between 0 and 1 at any score', () => {
    expect([...sigmoid(tensor('FP64', [3], [-1e9, 0, 1e9])).data]).to.deep.equal([0, 0.5, 1]);
  });

  it('argmax takes the first of equals, passes NaN over and drops the last axis', () => {
    const scores = tensor('FP32', [3, 3], [1, 5, 5, Number.NaN, -2, -1, Number.NaN, Number.NaN, Number.NaN]);
    expect(argmax(scores)).to.deep.equal(tensor('INT64', [3], [1n, 2n, 0n]));
    expect(argmax(tensor('INT64', [1, 2], [2n ** 60n, 2n ** 61n]))).to.deep.equal(tensor('INT64', [1], [1n]));
  });

  it('threshold reads the only score or the last of two', () => {
    expect(threshold(tensor('FP32', [3], [0.5, 0.25, 0.75]), 0.5)).to.deep.equal(
      tensor('INT64', [3], [1n, 0n, 1n]),
    );
    expect(threshold(tensor('FP32', [2, 1], [0.5, 0.25]), 0.5)).to.deep.equal(tensor('INT64', [2], [1n, 0n]));
    expect(threshold(tensor('FP32', [2, 2], [0.9, 0.1, 0.1, 0.9]), 0.5)).to.deep.equal(
      tensor('INT64', [2], [0n, 1n]),
    );
  });
});

describe('raw outputs become result tensors', () => {
  const probabilities = tensor('FP32', [2, 3], [0.25, 0.5, 0.25, 0.5, 0.25, 0.25]);
  const indices = ['INT32', [2], [1, 0]];

  it('integer classes under the labels given to them', () => {
    const outputs = { label: tensor('INT64', [2], [1n, 0n]), probabilities };
    expect(apply(wineVersion(), outputs, 2)).to.deep.equal({
      label: indices,
      probabilities: ['FP32', [2, 3], [...probabilities.data]],
    });
  });

  it('integer labels by value, string labels by name, flattened', () => {
    const integers = classifier({ labels: [10, 20, 30] }, [spec('L', 'INT64', [-1, 1])]);
    expect(apply(integers, { L: tensor('INT64', [2, 1], [20n, 10n]) }, 2)).to.deep.equal({ label: indices });
    const strings = classifier({ labels: ['a', 'b'] }, [spec('L', 'BYTES', [-1])]);
    expect(apply(strings, { L: tensor('BYTES', [2], ['b', 'a']) }, 2)).to.deep.equal({ label: indices });
  });

  it('labels as they are where none are known', () => {
    const version = classifier({}, [spec('L', 'BYTES', [-1, 1])]);
    const outputs = { L: tensor('BYTES', [2, 1], ['b', 'a']) };
    expect(apply(version, outputs, 2)).to.deep.equal({ label: ['BYTES', [2], ['b', 'a']] });
  });

  it('the greatest probability where the model names no label', () => {
    const version = classifier({ labels: ['a', 'b', 'c'] }, [spec('P', 'FP32', [-1, 3])]);
    expect(apply(version, { P: probabilities }, 2).label).to.deep.equal(indices);
  });

  it('one score a row as the probabilities of two classes', () => {
    for (const shape of [[2], [2, 1]]) {
      const version = classifier({ labels: ['no', 'yes'] }, [spec('P', 'FP64', [-1, ...shape.slice(1)])]);
      expect(apply(version, { P: tensor('FP64', shape, [0.75, 0.25]) }, 2)).to.deep.equal({
        label: indices,
        probabilities: ['FP64', [2, 2], [0.25, 0.75, 0.75, 0.25]],
      });
    }
  });

  it('through the steps, in order, those that are needed', () => {
    const version = classifier(
      {
        labels: ['a', 'b'],
        outputs: { label: 'class', probabilities: 'logits' },
        postprocess: [
          { op: 'softmax', output: 'logits' },
          { op: 'threshold', output: 'logits', at: 0.9, to: 'class' },
          { op: 'sigmoid', output: 'other' },
          { op: 'argmax', output: 'other', to: 'best' },
        ],
      },
      [spec('logits', 'FP64', [-1, 2]), spec('other', 'FP64', [-1, 3])],
    );
    const compiled = compilePostprocess(version);
    expect(compiled.graphOutputs(null)).to.deep.equal(['logits']);
    expect(compiled.graphOutputs(['best'])).to.deep.equal(['other']);
    expect(compiled.graphOutputs(['other', 'class'])).to.deep.equal(['logits', 'other']);
    const logits = tensor('FP64', [2, 2], [0, Math.log(3), 0, Math.log(19)]);
    const result = apply(version, { logits }, 2) as {
      label: unknown;
      probabilities: [unknown, unknown, number[]];
    };
    expect(result.label).to.deep.equal(['INT32', [2], [0, 1]]);
    for (const [index, expected] of [0.25, 0.75, 0.05, 0.95].entries())
      expect(result.probabilities[2][index]).to.be.closeTo(expected, 1e-12);
    expect(apply(version, { other: tensor('FP64', [1, 3], [1, 3, 2]) }, 1, ['best'])).to.deep.equal({
      best: ['INT64', [1], [1n]],
    });
  });

  it('exactly the requested ones, raw', () => {
    const outputs = { label: tensor('INT64', [2], [1n, 0n]), probabilities };
    expect(apply(wineVersion(), outputs, 2, ['label'])).to.deep.equal({ label: ['INT64', [2], [1n, 0n]] });
  });

  it('the value of a regression, all outputs of any other model', () => {
    const variable = tensor('FP32', [1, 1], [2.5]);
    expect(apply(regressionVersion(), { variable }, 1)).to.deep.equal({ value: ['FP32', [1, 1], [2.5]] });
    const version = buildVersion({
      outputs: [spec('A', 'INT8', [-1]), spec('B', 'FP32', [-1, 2])],
      manifest: { postprocess: [{ op: 'argmax', output: 'B', to: 'C' }] },
    });
    expect(compilePostprocess(version).graphOutputs(null)).to.deep.equal(['A', 'B']);
    const outputs = { A: tensor('INT8', [1], [3]), B: tensor('FP32', [1, 2], [1, 2]) };
    expect(Object.keys(apply(version, outputs, 1))).to.deep.equal(['A', 'B', 'C']);
  });

  const outputs = { label: tensor('INT64', [2], [1n, 0n]), probabilities };
  const cases: readonly [why: string, Record<string, Tensor>, rows: number, message: string][] = [
    ['rows are fewer', outputs, 3, 'Model wine/v1.2.3 returned 2 rows for 3 in output label'],
    ['rows are more', outputs, 1, 'returned 2 rows for 1'],
    ['an output is absent', { label: outputs.label }, 2, 'returned no output probabilities'],
    [
      'a label is unknown',
      { ...outputs, label: tensor('INT64', [2], [1n, 3n]) },
      2,
      'not among its 3 labels',
    ],
    [
      'a label is negative',
      { ...outputs, label: tensor('INT64', [2], [1n, -1n]) },
      2,
      'not among its 3 labels',
    ],
    [
      'labels are several a row',
      { ...outputs, label: tensor('INT64', [2, 2], [1n, 1n, 1n, 1n]) },
      2,
      '4 labels for 2',
    ],
    [
      'classes are fewer',
      { ...outputs, probabilities: tensor('FP32', [2, 2], [1, 0, 1, 0]) },
      2,
      '2 probabilities for 3',
    ],
  ];
  for (const [why, given, rows, message] of cases)
    it(`are an internal_error that names the model when ${why}`, () => {
      const error = refusalOf(() => apply(wineVersion(), given, rows), 'internal_error');
      expect(error.message)
        .to.match(/^Model wine\/v1\.2\.3 /)
        .and.contain(message);
    });
});
