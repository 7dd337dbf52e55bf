import { expect } from 'chai';
import type { onnx } from 'onnx-proto';
import { readOnnxGraph } from '../../src/registry/onnx-graph.ts';
import { fixture, float, identity, model, node, value } from './onnx-builder.ts';

const io = { input: [value('x', float, ['N', 2])], output: [value('y', float, ['N', 2])] };
const opsetImport = [
  { domain: '', version: 17 },
  { domain: 'local', version: 1 },
];

/** Function `f0` calls `f1` `fanOut` times, and so on; the last is an Identity. */
function functionChain(length: number, fanOut: number): Uint8Array {
  const functions = Array.from({ length }, (_, index): onnx.IFunctionProto => {
    const last = index === length - 1;
    const call = (at: number): onnx.INodeProto => ({
      opType: last ? 'Identity' : `f${index + 1}`,
      domain: last ? '' : 'local',
      input: [at === 0 ? 'a' : `b${at - 1}`],
      output: [at === fanOut - 1 ? 'b' : `b${at}`],
    });
    return {
      name: `f${index}`,
      domain: 'local',
      input: ['a'],
      output: ['b'],
      opsetImport,
      node: Array.from({ length: fanOut }, (_unused, at) => call(at)),
    };
  });
  return model({ node: [node('f0', ['x'], ['y'], { domain: 'local' })], ...io }, { opsetImport, functions });
}

describe('limits of an ONNX model', () => {
  const refused: readonly [string, () => Uint8Array, string][] = [
    ['an IR of the future', () => identity({ irVersion: 99 }), 'IR version from 3 to 13'],
    ['an IR of the past', () => identity({ irVersion: 1 }), 'IR version'],
    ['an opset of the future', () => fixture('opset-99'), 'opset of ai.onnx from 7 to 26'],
    ['an unknown domain', () => fixture('custom-domain'), 'operators of ai.onnx, ai.onnx.ml, com.microsoft'],
    [
      'an operator of a domain that is not imported',
      () => model({ node: [node('Boom', ['x'], ['y'], { domain: 'evil' })], ...io }),
      'operators of',
    ],
    ['external data', () => fixture('external-data'), 'external_data'],
    [
      'external data without a place',
      () =>
        model({
          node: [node('Identity', ['x'], ['y'])],
          initializer: [{ name: 'w', dataLocation: 1 }],
          ...io,
        }),
      'no external data',
    ],
    [
      'more elements than fit 64 bits',
      () =>
        model({
          node: [node('Identity', ['x'], ['y'])],
          initializer: [{ name: 'w', dataType: 1, dims: [2 ** 31, 2 ** 31, 2 ** 31] }],
          ...io,
        }),
      'elements in a tensor',
    ],
    [
      'a negative dimension',
      () =>
        model({
          node: [node('Constant', [], ['c'], { attribute: [{ name: 'value', t: { dims: [-4] } }] })],
          ...io,
        }),
      'negative dimensions',
    ],
    ['no graph', () => new Uint8Array(), 'a model with a graph'],
    ['no nodes', () => model({ node: [], ...io }), 'a model with a graph'],
    ['3,000 functions deep', () => fixture('deep-functions'), 'function calls at most 128 deep'],
    ['129 calls deep', () => functionChain(128, 1), 'function calls at most 128 deep'],
    ['2^21 inlined nodes', () => functionChain(21, 2), 'nodes once functions are inlined'],
  ];
  for (const [what, bytes, message] of refused)
    it(`refuse ${what}`, () => {
      expect(() => readOnnxGraph(bytes())).to.throw(message);
    });

  it('let functions call functions within reason', () => {
    expect(readOnnxGraph(functionChain(100, 1)).declared.outputs).to.have.length(1);
    expect(readOnnxGraph(functionChain(10, 2)).declared.outputs).to.have.length(1);
  });

  it('measure many calls in time that grows with their number', () => {
    expect(() => readOnnxGraph(functionChain(100, 500))).to.throw('nodes once functions are inlined');
  });

  it('refuse functions that call each other in a circle', () => {
    const call = (name: string, callee: string): onnx.IFunctionProto => ({
      name,
      domain: 'local',
      input: ['a'],
      output: ['b'],
      opsetImport,
      node: [node(callee, ['a'], ['b'], { domain: 'local' })],
    });
    const functions = [call('f', 'g'), call('g', 'f')];
    const bytes = model(
      { node: [node('f', ['x'], ['y'], { domain: 'local' })], ...io },
      { opsetImport, functions },
    );
    expect(() => readOnnxGraph(bytes)).to.throw('functions that do not call themselves');
  });

  it('look into functions and subgraphs', () => {
    const hidden: onnx.IGraphProto = { node: [node('Boom', [], ['z'], { domain: 'evil' })] };
    const branch = node('If', ['x'], ['y'], { attribute: [{ name: 'then_branch', g: hidden }] });
    expect(() => readOnnxGraph(model({ node: [branch], ...io }))).to.throw('operators of');
    const functions = [{ name: 'f', domain: 'local', node: [branch], opsetImport }];
    const outer = node('f', ['x'], ['y'], { domain: 'local' });
    expect(() => readOnnxGraph(model({ node: [outer], ...io }, { opsetImport, functions }))).to.throw(
      'operators of',
    );
  });
});
