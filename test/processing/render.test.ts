import { expect } from 'chai';
import { compileCompatibilityKey } from '../../src/processing/batch-key.ts';
import { compilePacker } from '../../src/processing/pack-instance.ts';
import { compileRenderer } from '../../src/processing/render.ts';
import type { RenderOptions } from '../../src/processing/render.ts';
import type { ModelVersion } from '../../src/registry/model-version.ts';
import type { Tensor } from '../../src/tensors/tensor.ts';
import { buildVersion, regressionVersion, spec, tensor, wineVersion } from '../support/builders.ts';

/** As text, so that the order of the fields is tested. */
function render(
  version: ModelVersion,
  result: Record<string, Tensor>,
  row: number,
  options: Partial<RenderOptions> = {},
): string {
  const all = { id: 'pred_1', returnProbability: false, topK: null, outputs: null, ...options };
  return JSON.stringify(compileRenderer(version)(new Map(Object.entries(result)), row, all));
}

describe('predictions', () => {
  const result = {
    label: tensor('INT32', [2], [2, 1]),
    probabilities: tensor('FP32', [2, 3], [0.2, 0.3, 0.5, 0.1, 0.7, 0.2]),
  };
  const unlabelled = buildVersion({
    manifest: { task: 'classification' },
    outputs: [spec('L', 'INT64', [-1]), spec('P', 'FP32', [-1, 3])],
  });

  it("have the document's fields in the document's order", () => {
    expect(render(wineVersion(), result, 1, { returnProbability: true })).to.equal(
      '{"id":"pred_1","output":"class_1","probabilities":[0.1,0.7,0.2],"score":0.7}',
    );
    expect(render(wineVersion(), result, 0)).to.equal('{"id":"pred_1","output":"class_2","score":0.5}');
  });

  it('have no score where the model gives no probabilities', () => {
    const { label } = result;
    expect(render(wineVersion(), { label }, 0, { returnProbability: true, topK: 2 })).to.equal(
      '{"id":"pred_1","output":"class_2"}',
    );
  });

  it('list the likeliest classes when asked to, as many as there are', () => {
    expect(render(wineVersion(), result, 1, { topK: 2 })).to.equal(
      '{"id":"pred_1","output":"class_1","score":0.7,"top_k":[{"label":"class_1","score":0.7},{"label":"class_2","score":0.2}]}',
    );
    const all = JSON.parse(render(wineVersion(), result, 1, { topK: 99 })) as { top_k: unknown[] };
    expect(all.top_k).to.have.length(3);
  });

  it('list as many as the manifest says when the request does not', () => {
    const base = wineVersion();
    const version = {
      ...base,
      manifest: { ...base.manifest, postprocess: [{ op: 'top_k' as const, k: 1 }] },
    };
    expect(render(version, result, 0)).to.contain('"top_k":[{"label":"class_2","score":0.5}]');
    expect(render(version, result, 0, { topK: 3 })).to.contain('"class_0"');
  });

  it('take no NaN for the probability of a label that stands for any class', () => {
    const label = tensor('INT64', [1], [7n]);
    const probabilities = tensor('FP32', [1, 3], [Number.NaN, 0.25, 0.75]);
    expect(render(unlabelled, { label, probabilities }, 0)).to.equal(
      '{"id":"pred_1","output":7,"score":0.75}',
    );
  });

  it('order equal scores by label and NaN last', () => {
    const probabilities = tensor('FP32', [1, 3], [Number.NaN, 0.5, 0.5]);
    const text = render(wineVersion(), { label: tensor('INT32', [1], [0]), probabilities }, 0, { topK: 3 });
    expect(text).to.equal(
      '{"id":"pred_1","output":"class_0","score":"NaN","top_k":[{"label":"class_1","score":0.5},{"label":"class_2","score":0.5},{"label":"class_0","score":"NaN"}]}',
    );
  });

  it('show raw labels where none are known, with the greatest probability', () => {
    const raw = {
      label: tensor('INT64', [1], [7n]),
      probabilities: tensor('FP32', [1, 3], [0.25, 0.25, 0.5]),
    };
    expect(render(unlabelled, raw, 0)).to.equal('{"id":"pred_1","output":7,"score":0.5}');
  });

  it('are a number for a regression, an array for several values', () => {
    const version = regressionVersion();
    expect(render(version, { value: tensor('FP32', [2, 1], [1.5, 152.13]) }, 1)).to.equal(
      '{"id":"pred_1","output":152.13}',
    );
    expect(render(version, { value: tensor('FP64', [2], [1, 2]) }, 0)).to.equal('{"id":"pred_1","output":1}');
    expect(render(version, { value: tensor('FP64', [1, 2], [1, Number.NaN]) }, 0)).to.equal(
      '{"id":"pred_1","output":[1,"NaN"]}',
    );
  });

  it('are nested arrays for any other model, by name for several outputs', () => {
    const image = tensor('INT8', [2, 2, 1], [1, 2, 3, 4]);
    expect(render(buildVersion(), { Y: image }, 1)).to.equal('{"id":"pred_1","output":[[3],[4]]}');
    expect(render(buildVersion(), { Y: image, __proto: tensor('BOOL', [2], [0, 1]) }, 1)).to.equal(
      '{"id":"pred_1","output":{"Y":[[3],[4]],"__proto":true}}',
    );
  });

  it('are the requested outputs, in the order of the request', () => {
    const outputs = { label: tensor('INT64', [1], [1n]), probabilities: tensor('FP32', [1, 2], [0.5, 0.5]) };
    expect(render(wineVersion(), outputs, 0, { outputs: ['label'] })).to.equal('{"id":"pred_1","output":1}');
    expect(render(wineVersion(), outputs, 0, { outputs: ['probabilities', 'label'] })).to.equal(
      '{"id":"pred_1","output":{"probabilities":[0.5,0.5],"label":1}}',
    );
  });

  it('keep an output named __proto__', () => {
    const raw = new Map([
      ['__proto__', tensor('INT8', [1], [1])],
      ['Y', tensor('INT8', [1], [2])],
    ]);
    const options = { id: 'p', returnProbability: false, topK: null, outputs: null };
    expect(JSON.stringify(compileRenderer(buildVersion())(raw, 0, options))).to.equal(
      '{"id":"p","output":{"__proto__":1,"Y":2}}',
    );
  });
});

describe('compatibility keys', () => {
  const open = buildVersion({ inputs: [spec('ids', 'INT64', [-1, -1]), spec('x', 'FP32', [-1, 1])] });
  const instance = (length: number) =>
    compilePacker(open)({ ids: Array.from({ length }, () => 1), x: 1 }, 'inputs');

  it('are empty where every instance may share a run', () => {
    const version = wineVersion();
    const row = compilePacker(version)([1, 2, 3, 4, 5], 'inputs');
    expect(compileCompatibilityKey(version)(row, null)).to.equal('');
  });

  it('differ by row shape', () => {
    const key = compileCompatibilityKey(open);
    expect(key(instance(3), null))
      .to.equal(key(instance(3), null))
      .and.not.equal(key(instance(4), null));
  });

  it('differ by outputs, whatever their order', () => {
    const version = wineVersion();
    const key = compileCompatibilityKey(version);
    const row = compilePacker(version)([1, 2, 3, 4, 5], 'inputs');
    expect(key(row, ['label', 'probabilities'])).to.equal(key(row, ['probabilities', 'label']));
    expect(key(row, ['label'])).not.to.equal(key(row, ['probabilities']));
    expect(key(row, ['label'])).not.to.equal(key(row, null));
  });
});
