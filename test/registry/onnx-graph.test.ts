import { expect } from 'chai';
import type { onnx } from 'onnx-proto';
import { readOnnxGraph } from '../../src/registry/onnx-graph.ts';
import {
  decode,
  encode,
  encodeGraph,
  fixture,
  float,
  float16,
  identity,
  int64,
  lengthDelimited,
  model,
  node,
  value,
} from './onnx-builder.ts';

const sequenceOfMaps = { sequenceType: { elemType: { mapType: { keyType: 7, valueType: {} } } } };
const zipMap = (input: string, output: string, labels: Partial<onnx.IAttributeProto>): onnx.INodeProto =>
  node('ZipMap', [input], [output], { domain: 'ai.onnx.ml', attribute: [labels] });
const integerLabels = { name: 'classlabels_int64s', ints: [3, 5, 8] };
const nodesOf = (bytes: Uint8Array): onnx.INodeProto[] => decode(bytes).graph?.node ?? [];

describe('the signature of an ONNX graph', () => {
  it('has names, datatypes and shapes', () => {
    expect(readOnnxGraph(fixture('two-in-two-out')).declared).to.deep.equal({
      inputs: [
        { name: 'a', datatype: 'FP32', shape: [-1, 2] },
        { name: 'b', datatype: 'INT64', shape: [-1, 1] },
      ],
      outputs: [
        { name: 'sum', datatype: 'FP32', shape: [-1, 2] },
        { name: 'twice', datatype: 'INT64', shape: [-1, 1] },
      ],
    });
  });

  it('takes symbolic, open and negative dimensions for dynamic, and 0 as it is', () => {
    const bytes = model({
      node: [node('Identity', ['x'], ['y'])],
      input: [value('x', float, ['N', null, -7, 0, 4])],
      output: [value('y', float, null)],
    });
    const { declared } = readOnnxGraph(bytes);
    expect(declared.inputs[0]?.shape).to.deep.equal([-1, -1, -1, 0, 4]);
    expect(declared.outputs[0]?.shape).to.equal(null);
  });

  it('leaves initializers out of the inputs', () => {
    const bytes = model({
      node: [node('Add', ['x', 'w'], ['y'])],
      input: [value('x', float, ['N']), value('w', float, [1])],
      initializer: [{ name: 'w', dataType: float, dims: [1], floatData: [1] }],
      output: [value('y', float, ['N'])],
    });
    expect(readOnnxGraph(bytes).declared.inputs.map((input) => input.name)).to.deep.equal(['x']);
  });

  it('serves the very bytes when there is nothing to edit', () => {
    const bytes = identity();
    expect(readOnnxGraph(bytes).served).to.equal(bytes);
  });

  const unusable: readonly [string, Uint8Array, string][] = [
    [
      'an input without a shape',
      model({
        node: [node('Identity', ['x'], ['y'])],
        input: [value('x', float, null)],
        output: [value('y', float, [1])],
      }),
      'a shape for the input "x"',
    ],
    [
      'complex numbers',
      model({
        node: [node('Identity', ['x'], ['y'])],
        input: [value('x', 14, [1])],
        output: [value('y', float, [1])],
      }),
      'a supported datatype for the input "x"',
    ],
    ['a sequence', fixture('sequence-output'), 'a tensor as the output "sequence"'],
    [
      'an input that is a map',
      model({
        node: [node('Identity', ['x'], ['y'])],
        input: [{ name: 'x', type: { mapType: { keyType: 7 } } }],
        output: [value('y', float, [1])],
      }),
      'a tensor as the input "x"',
    ],
    [
      'no output',
      model({ node: [node('Identity', ['x'], ['y'])], input: [value('x', float, [1])] }),
      'a model with an output',
    ],
  ];
  for (const [what, bytes, message] of unusable)
    it(`refuses ${what}`, () => {
      expect(() => readOnnxGraph(bytes)).to.throw(message);
    });
});

describe('cutting a ZipMap', () => {
  for (const [name, labels] of [
    ['zipmap-int64', [3, 7, 11]],
    ['zipmap-string', ['high', 'low', 'mid']],
  ] as const)
    it(`keeps name and labels of ${name}`, () => {
      const { declared, labels: found, served } = readOnnxGraph(fixture(name));
      expect(found).to.deep.equal(labels);
      expect(declared.outputs[1]).to.deep.equal({
        name: 'output_probability',
        datatype: 'FP32',
        shape: [-1, 3],
      });
      expect(nodesOf(served).some((known) => known.opType === 'ZipMap')).to.equal(false);
      expect(readOnnxGraph(served).served).to.equal(served);
    });

  it('keeps the name of a tensor that is an output or an input itself', () => {
    const graph = (from: string, outputs: onnx.IValueInfoProto[]): onnx.IGraphProto => ({
      node: [node('Softmax', ['x'], ['p']), zipMap(from, 'z', integerLabels)],
      input: [value('x', float, ['N', 3])],
      output: [...outputs, { name: 'z', type: sequenceOfMaps }],
    });
    for (const bytes of [model(graph('p', [value('p', float, ['N', 3])])), model(graph('x', []))]) {
      const { declared, served } = readOnnxGraph(bytes);
      expect(declared.outputs.at(-1)).to.deep.equal({ name: 'z', datatype: 'FP32', shape: [-1, 3] });
      expect(nodesOf(served).map((known) => known.opType)).to.deep.equal(['Softmax', 'Identity']);
      expect(nodesOf(served)[1]?.domain).to.equal('');
    }
  });

  it('imports the default domain where a model of ai.onnx.ml alone lacks it', () => {
    const bytes = model(
      {
        node: [zipMap('x', 'z', integerLabels)],
        input: [value('x', float, ['N', 3])],
        output: [{ name: 'z', type: sequenceOfMaps }],
      },
      { opsetImport: [{ domain: 'ai.onnx.ml', version: 1 }] },
    );
    expect(decode(readOnnxGraph(bytes).served).opsetImport.map((entry) => entry.domain)).to.deep.equal([
      'ai.onnx.ml',
      '',
    ]);
  });

  it('does not edit what it would break', () => {
    const zipMapModel: onnx.IGraphProto = {
      node: [zipMap('x', 'z', integerLabels)],
      input: [value('x', float, ['N', 3])],
      output: [{ name: 'z', type: sequenceOfMaps }],
    };
    // Overloads came after the schema that the decoder has: the call would lose which function it means.
    const call = lengthDelimited(
      1,
      Buffer.concat([lengthDelimited(4, Buffer.from('Identity')), lengthDelimited(8, Buffer.from('v2'))]),
    );
    const graph = lengthDelimited(7, Buffer.concat([encodeGraph(zipMapModel), call]));
    const bytes = Buffer.concat([encode({ irVersion: 10, opsetImport: [{ version: 17 }] }), graph]);
    expect(() => readOnnxGraph(bytes)).to.throw('a model that can be edited');
  });
});

describe('class labels', () => {
  const classifier = (...names: (readonly number[])[]): Uint8Array =>
    model({
      node: names.map((ints, index) =>
        node('LinearClassifier', ['x'], [`label${index}`, `p${index}`], {
          domain: 'ai.onnx.ml',
          attribute: [{ name: 'classlabels_ints', ints: [...ints] }],
        }),
      ),
      input: [value('x', float, ['N', 3])],
      output: [value('label0', int64, ['N']), value('p0', float, ['N', 3])],
    });

  it('come from a classifier when no ZipMap stands', () => {
    expect(readOnnxGraph(classifier([1, 2, 3])).labels).to.deep.equal([1, 2, 3]);
  });

  it('are unknown when classifiers disagree', () => {
    expect(readOnnxGraph(classifier([1, 2], [1, 2])).labels).to.deep.equal([1, 2]);
    expect(readOnnxGraph(classifier([1, 2], [2, 1])).labels).to.equal(null);
    expect(readOnnxGraph(identity()).labels).to.equal(null);
  });
});

describe('casting float16', () => {
  it('shows FP16 and serves float32 under the same names', () => {
    const { declared, served } = readOnnxGraph(fixture('identity-float16'));
    expect(declared.inputs[0]).to.deep.equal({ name: 'x', datatype: 'FP16', shape: [-1, 3] });
    expect(readOnnxGraph(served).declared.outputs[0]).to.deep.equal({
      name: 'y',
      datatype: 'FP32',
      shape: [-1, 3],
    });
  });

  it('reaches values that subgraphs capture', () => {
    const branch = { name: 'b', node: [node('Identity', ['x'], ['t'])], output: [value('t', float16, [2])] };
    const bytes = model({
      node: [
        node('If', ['c'], ['y'], {
          attribute: [
            { name: 'then_branch', type: 5, g: branch },
            { name: 'else_branch', type: 5, g: branch },
          ],
        }),
      ],
      input: [value('c', 9, []), value('x', float16, [2])],
      output: [value('y', float16, [2])],
    });
    const [castIn, branches, castOut] = nodesOf(readOnnxGraph(bytes).served);
    expect(castIn).to.deep.include({ opType: 'Cast', input: ['x'], output: ['x_float16'] });
    expect(branches?.attribute?.[0]?.g?.node?.[0]?.input).to.deep.equal(['x_float16']);
    expect(castOut).to.deep.include({ opType: 'Cast', input: ['y_float16'], output: ['y'] });
  });

  it('finds names that are free', () => {
    const bytes = model({
      node: [node('Add', ['x', 'x_float16'], ['y'])],
      input: [value('x', float16, ['N']), value('x_float16', float16, ['N'])],
      output: [value('y', float16, ['N'])],
    });
    const outputs = nodesOf(readOnnxGraph(bytes).served).flatMap((known) => known.output ?? []);
    expect(new Set(outputs).size).to.equal(outputs.length);
    expect(outputs).to.not.include('x_float16');
  });
});
