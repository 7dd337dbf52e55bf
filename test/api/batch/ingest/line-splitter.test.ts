import { expect } from 'chai';
import fc from 'fast-check';
import { LineSplitter } from '../../../../src/api/batch/ingest/line-splitter.ts';
import type { Line } from '../../../../src/api/batch/ingest/line-splitter.ts';
import { cut, places } from '../support/pieces.ts';

function split(pieces: Iterable<Buffer>, lineBytesMax = 1 << 20): Line[] {
  const splitter = new LineSplitter(lineBytesMax);
  const lines: Line[] = [];
  for (const piece of pieces) lines.push(...splitter.push(piece));
  lines.push(...splitter.end());
  return lines;
}

const texts = (lines: readonly Line[]): (string | null)[] => lines.map(({ text }) => text);

const line = fc.oneof(
  fc.string({ unit: fc.constantFrom('a', '"', ' ', '\t', '\r', 'é', '漢', '😀'), maxLength: 12 }),
  fc.constant(''),
);
const ending = fc.constantFrom('\n', '\r\n');

describe('lines of a body', () => {
  it('are the same however the bytes are cut', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(line, ending)),
        line,
        fc.boolean(),
        places,
        (whole, last, marked, cuts) => {
          // A CR before the end of a line is a part of the end.
          const bare = (text: string): string => text.replace(/\r$/, '');
          const body = `${marked ? '\ufeff' : ''}${whole.map((each) => each.join('')).join('')}${last}`;
          const expected = whole.map(([text, end]) => (end === '\n' ? bare(text) : text));
          if (last !== '') expected.push(bare(last));
          // Only a mark stands there: a last line without text.
          if (marked && whole.length === 0 && last === '') expected.push('');
          const lines = split(cut(Buffer.from(body), cuts));
          expect(texts(lines)).to.deep.equal(expected);
          expect(lines.map(({ number }) => number)).to.deep.equal(expected.map((_, index) => index + 1));
        },
      ),
    );
  });

  it('that are not UTF-8 are told from their neighbours', () => {
    const bytes = Buffer.concat([
      Buffer.from('é\n'),
      Buffer.from([0xc3, 0x28, 0x0a]),
      Buffer.from('漢\n'),
      Buffer.from([0xff]),
    ]);
    for (let at = 0; at <= bytes.byteLength; at++)
      expect(texts(split(cut(bytes, [at])))).to.deep.equal(['é', null, '漢', null]);
  });

  it('may have as many bytes as allowed, with or without CR, and no more', () => {
    const fits = ['aaaaaaaaaa\n', 'aaaaaaaaaa\r\n', 'aaaaaaaaaa', 'ééééé\r\n'];
    for (const text of fits)
      for (let at = 0; at <= text.length; at++)
        expect(split(cut(Buffer.from(text), [at]), 10), text).to.have.length(1);
    for (const text of ['aaaaaaaaaaa\n', 'aaaaaaaaaaa\r\n', 'ééééé.\n', 'aaaaaaaaaaaa', '\xff'.repeat(6)])
      for (let at = 0; at <= text.length; at++)
        expect(() => split(cut(Buffer.from(`1\n2\n${text}`), [at, at + 4]), 10), text).to.throw(
          'Line 3 is too long',
        );
  });

  it('are refused for their length before their end has come', () => {
    const splitter = new LineSplitter(10);
    splitter.push(Buffer.from('a'.repeat(11)));
    expect(() => splitter.push(Buffer.from('a'))).to.throw('Line 1 is too long');
  });

  it('are held only until they are whole', () => {
    const splitter = new LineSplitter(100);
    expect([...splitter.push(Buffer.from('one\ntw'))]).to.have.length(1);
    expect(splitter.heldBytes).to.equal(2);
    expect([...splitter.push(Buffer.from('o\n'))]).to.deep.equal([{ text: 'two', number: 2 }]);
    expect(splitter.heldBytes).to.equal(0);
  });
});
