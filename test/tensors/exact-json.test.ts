import { expect } from 'chai';
import fc from 'fast-check';
import { checkDepth, parseExactJson, parseJson } from '../../src/tensors/exact-json.ts';
import { placesOf, refusalOf } from '../support/refusals.ts';

describe('exact JSON', () => {
  it('gives BigInts for integers that a number cannot hold', () => {
    fc.assert(
      fc.property(fc.bigInt({ min: -(10n ** 20n) + 1n, max: 10n ** 20n - 1n }), (integer) => {
        const [value] = parseExactJson(`[${integer}]`) as [number | bigint];
        expect(BigInt(value)).to.equal(integer);
        expect(typeof value).to.equal(Number.isSafeInteger(Number(integer)) ? 'number' : 'bigint');
      }),
    );
  });

  it('leaves fractions, exponents and integers of more than 20 digits as numbers', () => {
    const text = '[9007199254740993.5, 1e300, 123456789012345678901234567890]';
    expect(parseExactJson(text)).to.deep.equal(JSON.parse(text));
  });

  it('equals JSON.parse but for the BigInts', () => {
    const inexact = (_key: string, value: unknown) => (typeof value === 'bigint' ? Number(value) : value);
    fc.assert(
      fc.property(fc.json(), (text) => {
        expect(JSON.stringify(parseExactJson(text), inexact)).to.equal(JSON.stringify(JSON.parse(text)));
      }),
    );
  });

  it('touches neither strings nor names, whatever digits they have', () => {
    const text = '{"9007199254740993": ["9007199254740993", "a\\"9007199254740993", 9007199254740993]}';
    expect(parseExactJson(text)).to.deep.equal({
      '9007199254740993': ['9007199254740993', 'a"9007199254740993', 9007199254740993n],
    });
  });

  it('takes no integer for a name', () => {
    refusalOf(() => parseExactJson('{12345678901234567890 : 1}'));
  });

  it('refuses megabytes of a string that does not end no slower than others', () => {
    for (const end of ['', '\\'])
      refusalOf(() => parseExactJson(`[9007199254740993,"${'\\"'.repeat(1e6)}${end}`));
  });

  it('keeps __proto__ an ordinary name', () => {
    const value = parseExactJson('{"__proto__": {"x": 9007199254740993}}') as object;
    expect(Object.keys(value)).to.deep.equal(['__proto__']);
    expect(Object.getPrototypeOf(value)).to.equal(Object.prototype);
  });

  it('refuses what is no JSON', () => {
    for (const text of [
      '',
      '{',
      '[1,]',
      "{'a':1}",
      'NaN',
      '[9007199254740993,',
      '[09007199254740993]',
      '[9007199254740993 1]',
    ])
      for (const parse of [parseJson, parseExactJson])
        expect(refusalOf(() => parse(text)).message).to.equal('The body is not valid JSON');
  });
});

describe('checkDepth', () => {
  const check = (text: string, depthMax: number) => () => checkDepth(Buffer.from(text), depthMax);

  it('passes what is as deep as allowed and refuses one level more', () => {
    expect(check('[[{"a":[1]}]]', 4)).not.to.throw();
    expect(placesOf(check('[[{"a":[1]}]]', 3))).to.deep.equal([
      { path: '(root)', expected: 'at most 3 levels of arrays and objects', found: 'level 4 at byte 7' },
    ]);
  });

  it('counts levels, not brackets', () => {
    expect(check(`[${'[],{},'.repeat(1000)}[]]`, 2)).not.to.throw();
  });

  it('does not count brackets in strings, whatever is escaped there', () => {
    expect(check('["[[[[{{{{", "\\"[[[[", "\\\\", {"[[[": "é[[["}]', 2)).not.to.throw();
    expect(() => placesOf(check('["\\\\",[["x"]]]', 2))).not.to.throw();
  });

  it('agrees with a recursive count on any JSON', () => {
    const depthOf = (value: unknown): number =>
      typeof value === 'object' && value !== null ? 1 + Math.max(0, ...Object.values(value).map(depthOf)) : 0;
    fc.assert(
      fc.property(fc.json({ maxDepth: 6 }), (text) => {
        const depth = depthOf(JSON.parse(text));
        expect(check(text, depth)).not.to.throw();
        if (depth > 0) expect(check(text, depth - 1)).to.throw('nested too deeply');
      }),
    );
  });

  it('takes text that is no JSON, and a million brackets', () => {
    for (const text of ['', '"', '"\\', ']]]]', '\u0000"']) expect(check(text, 1)).not.to.throw();
    expect(check('['.repeat(1_000_000), 32)).to.throw('nested too deeply');
  });
});
