import { expect } from 'chai';
import fc from 'fast-check';
import { decodeEntry, encodeEntry, entryBytes } from '../../src/api/cache-entry.ts';
import { MillraceError } from '../../src/errors.ts';
import { tensor } from '../support/builders.ts';
import { arbitraryAnyTensor } from '../tensors/arbitrary-tensors.ts';

describe('cache entry', () => {
  const result = new Map([
    ['label', tensor('INT32', [1], [2])],
    ['probabilities', tensor('FP32', [1, 3], [0.1, 0.2, 0.7])],
  ]);

  it('gives back what was put into it, wherever it lies in memory', () => {
    fc.assert(
      fc.property(arbitraryAnyTensor, fc.nat({ max: 9 }), (value, offset) => {
        const tensors = new Map([['y', value]]);
        const entry = encodeEntry('key', tensors);
        expect(entry.length).to.equal(entryBytes(tensors));
        const moved = Buffer.concat([Buffer.alloc(offset), entry]).subarray(offset);
        expect(decodeEntry('key', moved)).to.deep.equal(tensors);
      }),
    );
  });

  it('is refused when any bit of it is another, or when it is cut short', () => {
    const entry = encodeEntry('key', result);
    for (let bit = 0; bit < entry.length * 8; bit++) {
      const damaged = Buffer.from(entry);
      damaged[bit >> 3]! ^= 1 << (bit & 7);
      expect(() => decodeEntry('key', damaged), `bit ${bit}`).to.throw(MillraceError);
    }
    for (let length = 0; length < entry.length; length++)
      expect(() => decodeEntry('key', entry.subarray(0, length)), `${length} bytes`).to.throw(MillraceError);
  });

  it('is refused under the key of another', () => {
    const entry = encodeEntry('key', result);
    expect(() => decodeEntry('kez', entry)).to.throw(/checksum/);
  });
});
