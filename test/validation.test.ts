import { expect } from 'chai';
import { compile, describe as inWords, nearestName } from '../src/validation.ts';
import type { SchemaObject } from '../src/validation.ts';

const parameters: SchemaObject = {
  type: 'object',
  additionalProperties: false,
  properties: {
    top_k: { type: 'integer', minimum: 1, maximum: 5 },
    outputs: { type: 'array', items: { type: 'string' } },
  },
};

describe('validation', () => {
  it('gives back a value that fits', () => {
    const value = { top_k: 3 };
    expect(compile(parameters)(value)).to.deep.equal({ valid: true, value });
  });

  const cases: readonly [SchemaObject, unknown, string, string, string][] = [
    [parameters, { top_k: 0 }, 'root.top_k', 'at least 1', 'number 0'],
    [parameters, { top_k: 6 }, 'root.top_k', 'at most 5', 'number 6'],
    [parameters, { top_k: '3' }, 'root.top_k', 'integer', 'string "3"'],
    [parameters, { outputs: ['a', 5] }, 'root.outputs[1]', 'string', 'number 5'],
    [parameters, { topk: 1 }, 'root.topk', 'a known name, such as top_k', 'an unknown name'],
    [parameters, { zzzzzzzz: 1 }, 'root.zzzzzzzz', 'a known name', 'an unknown name'],
    [parameters, { 'a b/c~d': 1 }, 'root["a b/c~d"]', 'a known name', 'an unknown name'],
    [parameters, [], 'root', 'object', 'array of 0'],
    [parameters, null, 'root', 'object', 'null'],
    [
      { type: 'object', required: ['inputs'], properties: { inputs: {} } },
      {},
      'root.inputs',
      'a value',
      'nothing',
    ],
    [{ enum: ['a', 'b'] }, 'c', 'root', 'one of "a", "b"', 'string "c"'],
    [{ const: 1 }, 2, 'root', '1', 'number 2'],
    [{ type: ['string', 'null'] }, 2, 'root', 'string or null', 'number 2'],
    [{ type: 'string', minLength: 1 }, '', 'root', 'at least 1 character', 'string ""'],
    [{ type: 'array', maxItems: 2 }, [1, 2, 3], 'root', 'at most 2 elements', 'array of 3'],
    [{ type: 'string', pattern: '^a' }, 'b', 'root', 'a string that matches ^a', 'string "b"'],
    [{ type: 'number', exclusiveMinimum: 0 }, 0, 'root', 'more than 0', 'number 0'],
    [
      { type: 'array', uniqueItems: true },
      [1, 1],
      'root',
      'must NOT have duplicate items (items ## 0 and 1 are identical)',
      'array of 2',
    ],
  ];
  for (const [schema, value, path, expected, found] of cases)
    it(`says of ${JSON.stringify(value)} that ${path} should be ${expected}`, () => {
      expect(compile(schema)(value, 'root')).to.deep.equal({
        valid: false,
        places: [{ path, expected, found }],
      });
    });

  it('stops at the first error, so that a hostile body cannot buy work', () => {
    const checked = compile(parameters)({ outputs: [1, 2, 3], top_k: 'x' });
    expect(checked.valid ? [] : checked.places).to.have.lengthOf(1);
  });

  it('cuts what it repeats of a hostile body', () => {
    const long = 'x'.repeat(100_000);
    for (const value of [{ [long]: 1 }, { top_k: long }]) {
      const checked = compile(parameters)(value);
      expect(JSON.stringify(checked).length).to.be.below(200);
    }
  });

  it('does not take inherited names for known ones', () => {
    const checked = compile(parameters)(JSON.parse('{"__proto__": 1}'));
    expect(checked.valid).to.equal(false);
  });

  it('words any value', () => {
    expect([undefined, null, 5n, true, Number.NaN, [], {}, () => 1, 'é'].map(inWords)).to.deep.equal([
      'nothing',
      'null',
      'bigint 5',
      'boolean true',
      'number NaN',
      'array of 0',
      'object',
      'function',
      'string "é"',
    ]);
  });

  describe('the nearest name', () => {
    const known = ['redis.url', 'redis.prefix', 'port', 'host'];
    const names: readonly [string, string | undefined][] = [
      ['redis.ulr', 'redis.url'],
      ['PORT', 'port'],
      ['hots', 'host'],
      ['', undefined],
      ['something.else', undefined],
    ];
    for (const [name, nearest] of names)
      it(`is ${nearest ?? 'none'} for ${JSON.stringify(name)}`, () =>
        expect(nearestName(name, known)).to.equal(nearest));

    it('is found in bounded time for a long name', () => {
      expect(nearestName('port'.repeat(100_000), known)).to.equal(undefined);
    });
  });
});
