import { expect } from 'chai';
import fc from 'fast-check';
import { generateKey, parseKey, secretMatches } from '../../../src/api/keys/key-format.ts';

describe('key format', () => {
  it('makes keys that it reads back', () => {
    const { key, id, secretDigest } = generateKey('dev');
    const parsed = parseKey(key);
    expect(parsed).to.include({ environment: 'dev', id });
    expect(secretMatches(parsed!.secret, secretDigest)).to.equal(true);
  });

  it('makes no key twice', () => {
    const keys = Array.from({ length: 500 }, () => generateKey('dev').key);
    expect(new Set(keys).size).to.equal(500);
  });

  it('refuses every key with one character changed, left out or added', () => {
    const { key } = generateKey('live');
    const position = fc.nat({ max: key.length - 1 });
    const character = fc.constantFrom(...Array.from('0123456789abcdefABCDEF_-~ é'));
    fc.assert(
      fc.property(position, character, fc.constantFrom('replace', 'insert', 'delete'), (at, put, edit) => {
        const changed =
          key.slice(0, at) + (edit === 'delete' ? '' : put) + key.slice(edit === 'insert' ? at : at + 1);
        return changed === key || parseKey(changed) === undefined;
      }),
      { numRuns: 2000 },
    );
  });

  it('refuses what is no key at all', () => {
    for (const text of ['', 'mlr_', 'mlr_dev__', `mlr_dev_${'A'.repeat(12)}_${'B'.repeat(32)}_`, '\0'])
      expect(parseKey(text), text).to.equal(undefined);
  });

  it('matches a secret with its own digest only', () => {
    const one = generateKey('dev');
    const other = generateKey('dev');
    const { secret } = parseKey(one.key)!;
    expect(secretMatches(secret, one.secretDigest)).to.equal(true);
    expect(secretMatches(secret, other.secretDigest)).to.equal(false);
    expect(secretMatches(secret, undefined)).to.equal(false);
    expect(secretMatches(secret, new Uint8Array(5))).to.equal(false);
    expect(secretMatches('', undefined)).to.equal(false);
  });
});
