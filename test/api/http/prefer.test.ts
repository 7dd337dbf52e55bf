import { expect } from 'chai';
import { parsePrefer } from '../../../src/api/http/prefer.ts';

describe('Prefer', () => {
  const cases: readonly (readonly [string | undefined, boolean, number | null])[] = [
    [undefined, false, null],
    ['', false, null],
    ['respond-async', true, null],
    ['Respond-Async', true, null],
    ['wait=10', false, 10],
    ['wait = 10', false, 10],
    ['wait="10"', false, 10],
    ['respond-async, wait=5', true, 5],
    ['wait=5, wait=9', false, 5],
    ['wait=5; foo=bar, handling=lenient', false, 5],
    ['wait', false, null],
    ['wait=soon', false, null],
    ['wait=-1', false, null],
    ['wait=1.5', false, null],
    ['return=minimal', false, null],
  ];
  for (const [header, respondAsync, waitS] of cases)
    it(`of ${JSON.stringify(header)} is read`, () => {
      expect(parsePrefer(header)).to.deep.equal({ respondAsync, waitS });
    });
});
