import { expect } from 'chai';
import fc from 'fast-check';
import type { Datatype } from '../../src/tensors/datatype.ts';
import { parseExactJson } from '../../src/tensors/exact-json.ts';
import { compileJsonPacker } from '../../src/tensors/json-packer.ts';
import { jsonFloat32, unpackRow } from '../../src/tensors/json-unpacker.ts';
import type { JsonValue } from '../../src/tensors/json-unpacker.ts';
import type { Tensor } from '../../src/tensors/tensor.ts';
import { tensor } from '../support/builders.ts';
import { placesOf } from '../support/refusals.ts';
import { arbitraryAnyTensor, arbitraryTensor, carriedDatatypes } from './arbitrary-tensors.ts';

function pack(datatype: Datatype, shape: readonly number[], value: unknown) {
  return compileJsonPacker({ datatype, shape, rowAxis: false })(value, 'inputs');
}

/** The whole tensor, as the one row of a batch. */
function unpack(whole: Tensor): JsonValue {
  return unpackRow({ ...whole, shape: [1, ...whole.shape] }, 0);
}

/** -0 is 0 in JSON text; everything else must come back as it was. */
function withoutNegativeZero(data: Iterable<unknown>): unknown[] {
  return Array.from(data, (element) => (Object.is(element, -0) ? 0 : element));
}

describe('tensors as JSON', () => {
  it('come back the same through JSON text, for every datatype and rank', () => {
    fc.assert(
      fc.property(arbitraryAnyTensor, fc.boolean(), (original, open) => {
        const shape = open ? original.shape.map(() => -1) : original.shape;
        const text = JSON.stringify(unpack(original));
        const back = pack(original.datatype, shape, parseExactJson(text));
        expect(back.datatype).to.equal(original.datatype);
        expect(back.shape).to.deep.equal(original.shape);
        expect(withoutNegativeZero(back.data)).to.deep.equal(withoutNegativeZero(original.data));
      }),
      { numRuns: 500 },
    );
  });

  for (const datatype of carriedDatatypes)
    it(`take a flat array for a fixed shape of ${datatype}`, () => {
      fc.assert(
        fc.property(arbitraryTensor(datatype, [2, 3]), (original) => {
          const flat = unpack({ ...original, shape: [6] });
          expect(pack(datatype, [2, 3], flat).data).to.deep.equal(
            pack(datatype, [2, 3], unpack(original)).data,
          );
        }),
        { numRuns: 30 },
      );
    });

  it('put a row axis before the shape when the value is one row', () => {
    const packer = compileJsonPacker({ datatype: 'INT8', shape: [-1, 2], rowAxis: true });
    expect(
      packer(
        [
          [1, 2],
          [3, 4],
          [5, 6],
        ],
        'inputs',
      ).shape,
    ).to.deep.equal([1, 3, 2]);
  });

  it('take a bare element for a shape of one element', () => {
    for (const shape of [[], [1], [1, 1]])
      expect(pack('FP64', shape, 2.5).data).to.deep.equal(Float64Array.of(2.5));
  });

  it('keep -0, NaN and the infinities', () => {
    const { data } = pack('FP32', [4], [-0, 'NaN', 'Infinity', '-Infinity']);
    expect([...data]).to.deep.equal([-0, Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]);
    expect(Object.is(data[0], -0)).to.equal(true);
  });

  it('keep 64-bit integers exact as strings, BigInts and numbers', () => {
    const given = ['9223372036854775807', -9223372036854775808n, 42];
    expect([...pack('INT64', [3], given).data]).to.deep.equal([2n ** 63n - 1n, -(2n ** 63n), 42n]);
    expect([...pack('UINT64', [1], '18446744073709551615').data]).to.deep.equal([2n ** 64n - 1n]);
  });

  it('take 1 and 0 for booleans', () => {
    expect([...pack('BOOL', [4], [true, false, 1, 0]).data]).to.deep.equal([1, 0, 1, 0]);
  });

  it('fill nulls where a fill is given', () => {
    const packer = compileJsonPacker({ datatype: 'INT64', shape: [2], rowAxis: false, fill: 7 });
    expect([...packer([1, null], 'inputs').data]).to.deep.equal([1n, 7n]);
  });

  it('give rows as nested arrays, and bare elements for rank 1', () => {
    const batch = tensor('INT32', [2, 2, 2], [1, 2, 3, 4, 5, 6, 7, 8]);
    expect(unpackRow(batch, 1)).to.deep.equal([
      [5, 6],
      [7, 8],
    ]);
    expect(unpackRow(tensor('BYTES', [2], ['a', 'b']), 1)).to.equal('b');
    expect(unpackRow(tensor('INT64', [1, 2], [2n ** 53n, 5n]), 0)).to.deep.equal(['9007199254740992', 5]);
    expect(unpackRow(tensor('BOOL', [1, 2], [1, 0]), 0)).to.deep.equal([true, false]);
  });

  it('print float32 short and exactly', () => {
    for (const decimal of [0.1, 0.7, 0.33333334, 1e-7, -123456.79, 16777216])
      expect(jsonFloat32(Math.fround(decimal))).to.equal(decimal);
    fc.assert(
      fc.property(fc.float({ noNaN: true, noDefaultInfinity: true }), (float) => {
        expect(Math.fround(jsonFloat32(float) as number)).to.equal(float);
      }),
      { numRuns: 2000 },
    );
  });
});

describe('values that are no such tensor', () => {
  const cases: readonly [why: string, Datatype, readonly number[], unknown, path: string, found: string][] = [
    ['wrong type', 'FP32', [3], [1, 'two', 3], 'inputs[1]', 'the string "two"'],
    ['null', 'FP32', [3], [1, null, 3], 'inputs[1]', 'null'],
    ['boolean for a number', 'FP32', [1], [true], 'inputs[0]', 'boolean true'],
    ['too short', 'FP32', [3], [1, 2], 'inputs', 'an array of 2'],
    ['too long', 'FP32', [3], [1, 2, 3, 4], 'inputs', 'an array of 4'],
    ['object', 'FP32', [3], { length: 3 }, 'inputs', 'an object'],
    ['nothing', 'FP32', [3], undefined, 'inputs', 'nothing'],
    ['too deep', 'FP32', [3], [[1, 2, 3]], 'inputs', 'an array of 1'],
    ['too deep at the end', 'FP32', [2], [1, [2]], 'inputs[1]', 'an array of 1'],
    ['bare element', 'FP32', [2, 2], 5, 'inputs', 'number 5'],
    ['flat of the wrong length', 'FP32', [2, 2], [1, 2, 3], 'inputs', 'an array of 3'],
    ['ragged', 'FP32', [2, 2], [[1, 2], [3]], 'inputs[1]', 'an array of 1'],
    ['ragged and open', 'FP32', [-1, -1], [[1, 2], [3]], 'inputs[1]', 'an array of 1'],
    ['mixed depth', 'FP32', [2, 2], [[1, 2], 3], 'inputs[1]', 'number 3'],
    [
      'deep inside',
      'FP32',
      [2, 2, 2],
      [
        [
          [1, 2],
          [3, 4],
        ],
        [
          [5, 6],
          [7, 'x'],
        ],
      ],
      'inputs[1][1][1]',
      'the string "x"',
    ],
    ['flat for an open shape', 'FP32', [-1, 2], [1, 2], 'inputs[0]', 'number 1'],
    ['empty for an open axis', 'FP32', [-1], [], 'inputs', 'an empty array'],
    [
      'empty rows claiming width',
      'FP32',
      [-1, 1_000_000],
      Array.from({ length: 1000 }, () => []),
      'inputs[0]',
      'an array of 0',
    ],
    ['FP32 overflow', 'FP32', [1], [1e39], 'inputs[0]', 'number 1e+39'],
    ['FP16 overflow', 'FP16', [1], [65_520], 'inputs[0]', 'number 65520'],
    ['FP64 overflow', 'FP64', [1], [JSON.parse('1e999')], 'inputs[0]', 'number Infinity'],
    ['fraction', 'INT32', [1], [1.5], 'inputs[0]', 'number 1.5'],
    ['NaN for an integer', 'INT32', [1], ['NaN'], 'inputs[0]', 'the string "NaN"'],
    ['UINT8 range', 'UINT8', [2], [255, 256], 'inputs[1]', 'number 256'],
    ['UINT8 sign', 'UINT8', [1], [-1], 'inputs[0]', 'number -1'],
    ['INT64 unsafe number', 'INT64', [1], [2 ** 53], 'inputs[0]', 'number 9007199254740992'],
    ['INT64 range', 'INT64', [1], ['9223372036854775808'], 'inputs[0]', 'the string "9223372036854775808"'],
    ['INT64 no integer', 'INT64', [1], ['1e3'], 'inputs[0]', 'the string "1e3"'],
    ['UINT64 sign', 'UINT64', [1], [-1n], 'inputs[0]', 'bigint -1'],
    ['2 for a boolean', 'BOOL', [1], [2], 'inputs[0]', 'number 2'],
    ['string for a boolean', 'BOOL', [1], ['true'], 'inputs[0]', 'the string "true"'],
    ['number for a string', 'BYTES', [1], [7], 'inputs[0]', 'number 7'],
    ['lone surrogate', 'BYTES', [1], ['\ud800'], 'inputs[0]', 'the string "\\ud800"'],
  ];
  for (const [why, datatype, shape, value, path, found] of cases)
    it(`${why}: ${datatype} [${shape.join(', ')}]`, () => {
      const places = placesOf(() => pack(datatype, shape, value));
      expect(places).to.have.length(1);
      expect(places[0]).to.include({ path, found });
      expect(places[0]?.expected).to.be.a('string').with.length.above(0);
    });

  it('are never more than one line, whatever the caller sent', () => {
    const places = placesOf(() => pack('FP32', [1], [`\u001b[31m\n${'x'.repeat(500)}`]));
    expect(places[0]?.found).to.equal(`the string "\\u001b[31m\\n${'x'.repeat(34)}…"`);
  });
});
