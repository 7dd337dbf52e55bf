import { expect } from 'chai';
import fc from 'fast-check';
import { JsonScanner } from '../../../../src/api/batch/ingest/json-scanner.ts';
import { cut, places } from '../support/pieces.ts';

interface Scanned {
  readonly members: Readonly<Record<string, unknown>>;
  readonly elements: readonly unknown[] | null;
}

const roomy = { elementBytesMax: 1 << 20, memberBytesMax: 1 << 20 };

/** As the ingest does: cuts, parses each element, wants an end. */
function scan(pieces: Iterable<Buffer>, limits = roomy): Scanned {
  const members: Record<string, unknown> = {};
  const elements: unknown[] = [];
  const scanner = new JsonScanner({
    ...limits,
    array: 'inputs',
    onMember: (name, value) => Object.defineProperty(members, name, { value, enumerable: true }),
  });
  for (const piece of pieces) {
    const { bytes, ranges } = scanner.push(piece);
    for (let i = 0; i < ranges.length; i += 2)
      elements.push(JSON.parse(bytes.toString('utf8', ranges[i], ranges[i + 1])));
  }
  scanner.end();
  return { members, elements: scanner.has('inputs') && !Object.hasOwn(members, 'inputs') ? elements : null };
}

/** What makes scanners stumble: quotes, escapes, brackets, white space. */
const awkwardText = fc.string({
  unit: fc.constantFrom('"', '\\', '[', ']', '{', '}', ',', ':', ' ', '\n', 'a', 'é', '😀', '\u2028', '7'),
});
const value = fc.letrec((tie) => ({
  any: fc.oneof(
    { depthSize: 'small' },
    fc.constant(null),
    fc.boolean(),
    fc.double({ noNaN: true, noDefaultInfinity: true }),
    awkwardText,
    fc.array(tie('any'), { maxLength: 4 }),
    fc.dictionary(awkwardText, tie('any'), { maxKeys: 4 }),
  ),
})).any;
const inputs = fc.oneof(
  { weight: 4, arbitrary: fc.array(value, { maxLength: 6 }) },
  { weight: 1, arbitrary: value },
);
const members = fc.uniqueArray(fc.tuple(fc.oneof(fc.constant('inputs'), awkwardText), value), {
  selector: ([name]) => name,
  maxLength: 5,
});
const document = fc
  .tuple(members, inputs, fc.constantFrom(undefined, 1, '\t', '\r\n '))
  .map(([list, array, space]) =>
    JSON.stringify(
      Object.fromEntries(list.map(([name, one]) => [name, name === 'inputs' ? array : one])),
      null,
      space,
    ),
  );

describe('the scanner of JSON bodies', () => {
  it('gives what JSON.parse gives, for any object and any cut', () => {
    fc.assert(
      fc.property(document, places, (text, cuts) => {
        const { inputs: array, ...rest } = JSON.parse(text) as Record<string, unknown>;
        const scanned = scan(cut(Buffer.from(text), cuts));
        const { inputs: other, ...found } = scanned.members;
        expect(found).to.deep.equal(rest);
        if (Array.isArray(array)) expect(scanned.elements).to.deep.equal(array);
        else expect(other).to.deep.equal(array);
      }),
    );
  });

  it('refuses what JSON.parse refuses, for any damage and any cut', () => {
    const damage = fc.tuple(
      fc.nat(),
      fc.nat({ max: 3 }),
      fc.constantFrom('', '"', ',', '[', ']', '{', '}', ':', '\\', ' ', '1', 'x'),
    );
    fc.assert(
      fc.property(document, damage, places, (text, [at, length, put], cuts) => {
        const from = at % (text.length + 1);
        const damaged = text.slice(0, from) + put + text.slice(from + length);
        expect(accepts(() => scan(cut(Buffer.from(damaged), cuts)))).to.equal(isObjectOnce(damaged));
      }),
      { numRuns: 500 },
    );
  });

  for (const text of [
    '',
    ' ',
    '[]',
    '1',
    '{',
    '{}x',
    '{"a":1,}',
    '{"a" 1}',
    '{a:1}',
    '{"inputs":[1,]}',
    '{"inputs":[,1]}',
    '{"inputs":[1 2]}',
    '{"inputs":[1}',
    '{"inputs":[[1}]}',
    '{"inputs":[1]',
    '{"inputs":[1]}}',
    '{"a":1 "b":2}',
    '{"a":}',
    '{"a":1,"a":2}',
    '{"inputs":[],"inputs":[]}',
  ])
    it(`refuses ${text}`, () => {
      expect(accepts(() => scan([Buffer.from(text)]))).to.equal(false);
      expect(
        accepts(() =>
          scan(
            cut(
              Buffer.from(text),
              Array.from(text, (_, at) => at),
            ),
          ),
        ),
      ).to.equal(false);
    });

  it('takes a byte order mark, whole or cut, and no part of one', () => {
    const text = Buffer.from('\ufeff{"inputs":[1]}');
    for (let at = 0; at < 5; at++) expect(scan(cut(text, [at])).elements).to.deep.equal([1]);
    expect(accepts(() => scan([text.subarray(1)]))).to.equal(false);
    expect(accepts(() => scan([Buffer.concat([text.subarray(0, 2), text.subarray(3)])]))).to.equal(false);
  });

  it('refuses elements and members beyond their bounds, also when they never end', () => {
    const limits = { elementBytesMax: 10, memberBytesMax: 10 };
    const refuse = (text: string) => () => scan(cut(Buffer.from(text), [20, 40]), limits);
    expect(refuse('{"inputs":[1,"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa')).to.throw('inputs[1] is too long');
    expect(refuse('{"inputs":["aaaaaaaaa"]}')).to.throw('inputs[0] is too long');
    expect(refuse('{"parameters":"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa')).to.throw('parameters is too long');
    expect(scan([Buffer.from('{"inputs":["aaaaaaaa"]}')], limits).elements).to.deep.equal(['aaaaaaaa']);
  });

  it('holds no more than what has not ended', () => {
    const scanner = new JsonScanner({ ...roomy, array: 'inputs', onMember: () => undefined });
    scanner.push(Buffer.from('{"inputs":[[1,2],[3'));
    expect(scanner.heldBytes).to.equal(2);
    scanner.push(Buffer.from(',4],'));
    expect(scanner.heldBytes).to.equal(0);
    expect(scanner.elementCount).to.equal(2);
  });
});

function accepts(action: () => unknown): boolean {
  try {
    action();
    return true;
  } catch {
    return false;
  }
}

/** JSON.parse takes repeated names; the scanner does not, at the top. */
function isObjectOnce(text: string): boolean {
  try {
    const parsed = JSON.parse(text) as unknown;
    if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed)) return false;
    let names = 0;
    JSON.parse(text, function (this: unknown, _name, one: unknown) {
      return one;
    });
    names = Object.keys(parsed).length;
    return names === topNames(text);
  } catch {
    return false;
  }
}

/** Members of the outermost object as they are written. */
function topNames(text: string): number {
  let depth = 0;
  let colons = 0;
  for (const [token] of text.matchAll(/"(?:[^"\\]|\\.)*"|[[\]{}:]/gs)) {
    if (token === '[' || token === '{') depth += 1;
    else if (token === ']' || token === '}') depth -= 1;
    else if (token === ':' && depth === 1) colons += 1;
  }
  return colons;
}
