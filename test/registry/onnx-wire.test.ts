import { expect } from 'chai';
import fc from 'fast-check';
import { MillraceError } from '../../src/errors.ts';
import { readOnnxGraph } from '../../src/registry/onnx-graph.ts';
import { wireLimits } from '../../src/registry/onnx-limits.ts';
import { walkOnnx } from '../../src/registry/onnx-wire.ts';
import type { WireLimits } from '../../src/registry/onnx-wire.ts';
import { fixture, identity, lengthDelimited, model, node, value, varint } from './onnx-builder.ts';

describe('the walk over raw ONNX bytes', () => {
  it('counts nodes and graphs', () => {
    expect(walkOnnx(identity(), wireLimits)).to.deep.equal({ nodeCount: 1, graphDepth: 1, lossyFields: [] });
  });

  it('passes every good fixture and example', () => {
    for (const name of ['mlp-784-10', 'zipmap-string', 'slow-loop', 'identity-float16'])
      expect(walkOnnx(fixture(name), wireLimits).nodeCount).to.be.greaterThan(0);
  });

  it('names fields that decoding would lose', () => {
    const overload = lengthDelimited(8, Buffer.from('v2'));
    const op = Buffer.concat([lengthDelimited(4, Buffer.from('Identity')), overload]);
    const bytes = lengthDelimited(7, Buffer.concat([lengthDelimited(1, op), lengthDelimited(99, op)]));
    expect(walkOnnx(bytes, wireLimits).lossyFields).to.deep.equal(['Node.overload', 'Graph.99']);
  });

  it('counts unknown fields too, and lists only a few of them', () => {
    const unknown = Buffer.concat(
      Array.from({ length: 200 }, (_, i) => lengthDelimited(1000 + i, Buffer.of(0))),
    );
    expect(() => walkOnnx(unknown, { ...wireLimits, objectsMax: 100 })).to.throw('at most 100 elements');
    expect(walkOnnx(unknown, wireLimits).lossyFields).to.have.length(16);
  });

  const graph = lengthDelimited(7, lengthDelimited(1, lengthDelimited(4, Buffer.from('Identity'))));
  const refused: readonly [string, Uint8Array, string][] = [
    ['a graph that comes twice', Buffer.concat([graph, graph]), 'Model.graph comes twice'],
    ['a graph written as a number', Buffer.concat([varint(7 * 8), varint(1)]), 'wrong wire type'],
    ['a group', varint(99 * 8 + 3), 'wire type 3'],
    ['a field without a number', varint(2), 'a field without a number'],
    ['a length beyond the file', Buffer.concat([varint(7 * 8 + 2), varint(1000)]), 'beyond its message'],
    ['a length of 2^60', Buffer.concat([varint(7 * 8 + 2), varint(2 ** 60)]), 'beyond its message'],
    ['a number without end', Buffer.alloc(32, 0xff), 'a broken number'],
    [
      'a broken float',
      lengthDelimited(7, lengthDelimited(1, lengthDelimited(5, Buffer.from([0x15, 0])))),
      'beyond',
    ],
    ['training', lengthDelimited(20, Buffer.alloc(0)), 'one with it'],
  ];
  for (const [what, bytes, found] of refused)
    it(`refuses ${what}`, () => {
      expect(foundIn(bytes)).to.contain(found);
    });

  it('refuses what is nested too deep, without recursion', () => {
    let type: Uint8Array = Buffer.alloc(0);
    // Sequences of sequences: each level is a type and an element type.
    for (let depth = 0; depth < 20_000; depth++) type = lengthDelimited(4, lengthDelimited(1, type));
    const bytes = lengthDelimited(7, lengthDelimited(12, lengthDelimited(2, type)));
    expect(foundIn(bytes)).to.equal('101 or more');
  });

  it('refuses graphs within graphs past the limit', () => {
    let graphBytes: Uint8Array = lengthDelimited(2, Buffer.from('g'));
    for (let depth = 0; depth < 40; depth++)
      graphBytes = lengthDelimited(1, lengthDelimited(5, lengthDelimited(6, graphBytes)));
    expect(foundIn(lengthDelimited(7, graphBytes))).to.equal('33 or more');
  });

  it('refuses more nodes and elements than the limits', () => {
    const tight: WireLimits = { ...wireLimits, nodesMax: 1, objectsMax: 100 };
    const two = model({ node: [node('Relu', ['x'], ['y']), node('Relu', ['y'], ['z'])] });
    expect(() => walkOnnx(two, tight)).to.throw('at most 1 nodes');
    const many = model({
      node: [
        node('Constant', [], ['y'], {
          attribute: [{ name: 'ints', ints: Array.from({ length: 200 }, () => 1) }],
        }),
      ],
      input: [value('x', 1, [1])],
    });
    expect(() => walkOnnx(many, tight)).to.throw('at most 100 elements');
  });

  it('ends in a graph or in invalid_input, whatever the bytes', function () {
    this.timeout(30_000);
    const good = [identity(), fixture('zipmap-string'), fixture('identity-float16'), fixture('slow-loop')];
    const edits = fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 6 });
    fc.assert(
      fc.property(fc.constantFrom(...good), edits, fc.nat(), (bytes, changes, cut) => {
        const spoilt = Uint8Array.from(bytes);
        for (const [at, byte] of changes) spoilt[at % spoilt.length] = byte;
        endsWell(cut % 3 === 0 ? spoilt.subarray(0, cut % spoilt.length) : spoilt);
      }),
      { numRuns: 2_000 },
    );
    fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), endsWell), { numRuns: 1_000 });
  });
});

function endsWell(bytes: Uint8Array): void {
  try {
    readOnnxGraph(bytes);
  } catch (error) {
    expect(MillraceError.is(error) ? error.code : error).to.equal('invalid_input');
  }
}

function foundIn(bytes: Uint8Array): string {
  try {
    walkOnnx(bytes, wireLimits);
  } catch (error) {
    if (!MillraceError.is(error) || !Array.isArray(error.details)) throw error;
    return (error.details as { found: string }[])[0]?.found ?? '';
  }
  throw new Error('the bytes were accepted');
}
