import { expect } from 'chai';
import { parseIdempotencyKey } from '../../../src/api/idempotency/idempotency-key.ts';

describe('the idempotency key', () => {
  for (const key of ['k', '"8e03978e-40d5-43dd-bc93-6894a57f9324"', '~!', 'a'.repeat(255)])
    it(`may be ${key.slice(0, 40)}`, () => {
      expect(parseIdempotencyKey(key)).to.equal(key);
    });

  for (const [what, header] of [
    ['empty', ''],
    ['longer than 255 characters', 'a'.repeat(256)],
    ['several', 'a, b'],
    ['several fields', ['a', 'b']],
    ['beyond ASCII', 'schlüssel'],
    ['with a space within', 'a b'],
  ] as const)
    it(`may not be ${what}`, () => {
      expect(() => parseIdempotencyKey(header))
        .to.throw('not valid')
        .with.property('code', 'invalid_input');
    });
});
