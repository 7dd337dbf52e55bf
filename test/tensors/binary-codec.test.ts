import { expect } from 'chai';
import fc from 'fast-check';
import { MillraceError } from '../../src/errors.ts';
import {
  decodeTensors,
  encodedBytes,
  encodeTensors,
  encodeTensorsInParts,
  nameBytesMax,
  rankMax,
  tensorCountMax,
} from '../../src/tensors/binary-codec.ts';
import type { NamedTensors } from '../../src/tensors/tensor.ts';
import { tensor } from '../support/builders.ts';
import { refusalOf } from '../support/refusals.ts';
import { arbitraryAnyTensor } from './arbitrary-tensors.ts';

const arbitraryTensors: fc.Arbitrary<NamedTensors> = fc
  .array(fc.tuple(fc.string({ unit: 'grapheme' }), arbitraryAnyTensor), { maxLength: 5 })
  .map((entries) => new Map(entries));

/** The same bytes at an odd place in memory, as slices of sockets have. */
function misaligned(bytes: Uint8Array): Uint8Array {
  const moved = new Uint8Array(bytes.length + 3).subarray(3);
  moved.set(bytes);
  return moved;
}

describe('tensors as bytes', () => {
  it('come back the same, in order, wherever the bytes lie', () => {
    fc.assert(
      fc.property(arbitraryTensors, (tensors) => {
        const bytes = encodeTensors(tensors);
        expect(bytes.length).to.equal(encodedBytes(tensors));
        for (const source of [bytes, misaligned(bytes)])
          expect([...decodeTensors(source)]).to.deep.equal([...tensors]);
      }),
      { numRuns: 300 },
    );
  });

  it('are equal bytes for equal tensors', () => {
    const make = () => encodeTensors(new Map([['X', tensor('INT8', [3], [1, 2, 3])]]));
    const first = make();
    Buffer.alloc(Buffer.poolSize, 0xff);
    expect(make().equals(first)).to.equal(true);
  });

  it('are views of what was decoded where it is aligned, and a copy elsewhere', () => {
    const bytes = encodeTensors(new Map([['X', tensor('FP64', [2], [1, 2])]]));
    const memoryOf = (source: Uint8Array) => (decodeTensors(source).get('X')!.data as Float64Array).buffer;
    expect(memoryOf(bytes)).to.equal(bytes.buffer);
    const moved = misaligned(bytes);
    expect(memoryOf(moved)).not.to.equal(moved.buffer);
  });

  it('are written as format 1 says', () => {
    const tensors = new Map([
      ['X', tensor('FP32', [1, 2], [1.5, -2])],
      ['name', tensor('BYTES', [2], ['é', ''])],
      ['id', tensor('INT64', [1], [-2n])],
    ]);
    const golden = [
      '01000300' + '58000000', // format, zero, three tensors; 88 bytes in all
      '0b020100' + '08000000' + '01000000' + '02000000' + '58',
      '0d010400' + '0a000000' + '02000000' + '6e616d65',
      '09010200' + '08000000' + '01000000' + '6964',
      '00', // 55 bytes so far
      '0000c03f' + '000000c0',
      '02000000' + 'c3a9' + '00000000' + '000000000000',
      'feffffffffffffff',
    ];
    expect(encodeTensors(tensors).toString('hex')).to.equal(golden.join(''));
  });

  it('are the same in parts, with the numbers of large tensors where they lie', () => {
    fc.assert(
      fc.property(arbitraryTensors, (tensors) => {
        expect(Buffer.concat(encodeTensorsInParts(tensors))).to.deep.equal(encodeTensors(tensors));
      }),
    );
    const large = tensor(
      'INT16',
      [40_001],
      Array.from({ length: 40_001 }, () => 7),
    );
    const tensors = new Map([
      ['large', large],
      ['small', tensor('FP32', [3], [1, 2, 3])],
      ['text', tensor('BYTES', [2], ['a', 'bc'])],
    ]);
    const parts = encodeTensorsInParts(tensors);
    expect(Buffer.concat(parts)).to.deep.equal(encodeTensors(tensors));
    expect(parts.map(({ buffer }) => buffer)).to.include((large.data as Int16Array).buffer);
  });

  it('stay within their limits', () => {
    const one = tensor('UINT8', [1], [1]);
    const many = new Map(Array.from({ length: tensorCountMax + 1 }, (_, index) => [`t${index}`, one]));
    expect(() => encodeTensors(many)).to.throw(RangeError, 'at most 1024');
    expect(() => encodeTensors(new Map([['n'.repeat(nameBytesMax + 1), one]]))).to.throw(RangeError);
    const deep = tensor(
      'UINT8',
      Array.from({ length: rankMax + 1 }, () => 1),
      [1],
    );
    expect(() => encodeTensors(new Map([['X', deep]]))).to.throw(RangeError);
  });
});

describe('damaged bytes', () => {
  const good = encodeTensors(
    new Map([
      ['X', tensor('FP32', [2, 3], [1, 2, 3, 4, 5, 6])],
      ['S', tensor('BYTES', [2], ['one', 'two'])],
      ['B', tensor('BOOL', [2], [1, 0])],
    ]),
  );

  const cases: readonly [why: string, damage: (bytes: Buffer) => Buffer][] = [
    ['nothing', () => Buffer.alloc(0)],
    ['half a prefix', (bytes) => bytes.subarray(0, 5)],
    ['another format', (bytes) => bytes.fill(2, 0, 1)],
    ['one byte less', (bytes) => bytes.subarray(0, -1)],
    ['one byte more', (bytes) => Buffer.concat([bytes, Buffer.of(0)])],
    ['too many tensors', (bytes) => bytes.fill(0xff, 2, 4)],
    ['one tensor less than there is', (bytes) => bytes.fill(2, 2, 3)],
    ['unknown datatype', (bytes) => bytes.fill(10, 8, 9)],
    ['vast rank', (bytes) => bytes.fill(0xff, 9, 10)],
    ['vast dimension', (bytes) => bytes.fill(0xff, 16, 20)],
    ['BOOL of 2', (bytes) => bytes.fill(2, bytes.length - 8, bytes.length - 7)],
  ];
  for (const [why, damage] of cases)
    it(`are refused: ${why}`, () => {
      const error = refusalOf(() => decodeTensors(damage(Buffer.from(good))), 'internal_error');
      expect(error.message).to.match(/^Packed tensors are damaged: the buffer /);
    });

  it('are refused or decode to tensors that hold their invariant, whichever bytes differ', () => {
    const flips = fc.array(fc.tuple(fc.nat(good.length - 1), fc.nat(255)), { minLength: 1, maxLength: 6 });
    fc.assert(
      fc.property(flips, fc.nat(good.length), (changes, length) => {
        const bytes = Buffer.from(good);
        for (const [at, byte] of changes) bytes[at] = byte;
        for (const source of [bytes, bytes.subarray(0, length)]) decodesOrRefuses(source);
      }),
      { numRuns: 3000 },
    );
  });

  it('are refused when they are random', () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => decodesOrRefuses(bytes)));
  });

  function decodesOrRefuses(bytes: Uint8Array): void {
    try {
      for (const { shape, data } of decodeTensors(bytes).values())
        expect(data.length).to.equal(shape.reduce((product, dimension) => product * dimension, 1));
    } catch (error) {
      if (!MillraceError.is(error)) throw error;
      expect(error.code).to.equal('internal_error');
    }
  }
});
