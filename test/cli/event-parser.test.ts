import { expect } from 'chai';
import fc from 'fast-check';
import { EventParser } from '../../src/cli/event-parser.ts';
import type { ServerEvent } from '../../src/cli/event-parser.ts';

function parse(pieces: readonly string[]): readonly ServerEvent[] {
  const parser = new EventParser();
  return pieces.flatMap((piece) => parser.push(piece));
}

describe('EventParser', () => {
  const cases: readonly [string, string, readonly ServerEvent[]][] = [
    [
      'reads type, data and id',
      'id: 7\nevent: progress\ndata: {"a":1}\n\n',
      [{ type: 'progress', data: '{"a":1}', lastEventId: '7' }],
    ],
    [
      'joins several lines of data',
      'data: a\ndata: b\n\n',
      [{ type: 'message', data: 'a\nb', lastEventId: '' }],
    ],
    ['leaves comments and unknown fields out', ': heartbeat\n\nretry: 5\nfoo: x\n\n', []],
    [
      'keeps the id for later events',
      'id: 1\n\ndata: a\n\ndata: b\n\n',
      [
        { type: 'message', data: 'a', lastEventId: '1' },
        { type: 'message', data: 'b', lastEventId: '1' },
      ],
    ],
    [
      'forgets the type of an event without data',
      'event: progress\n\ndata: a\n\n',
      [{ type: 'message', data: 'a', lastEventId: '' }],
    ],
    [
      'takes no event that the stream ends within',
      'data: a\n\ndata: b\n',
      [{ type: 'message', data: 'a', lastEventId: '' }],
    ],
    ['skips a byte order mark', '\uFEFFdata: a\n\n', [{ type: 'message', data: 'a', lastEventId: '' }]],
    [
      'takes one space after the colon away',
      'data:  a\ndata:b\n\n',
      [{ type: 'message', data: ' a\nb', lastEventId: '' }],
    ],
    [
      'refuses an id with a NUL',
      'id: 1\nid: 2\0\ndata: a\n\n',
      [{ type: 'message', data: 'a', lastEventId: '1' }],
    ],
  ];
  for (const [promise, stream, events] of cases)
    it(promise, () => {
      expect(parse([stream])).to.deep.equal(events);
    });

  it('reads the same events wherever the stream is cut and however its lines end', () => {
    const line = fc.constantFrom(
      'data: ä€𝄞',
      'data: b',
      'data',
      'event: progress',
      'id: 3',
      'id',
      ': c',
      'x',
      '',
      '',
    );
    const ending = fc.constantFrom('\n', '\r\n', '\r');
    fc.assert(
      fc.property(
        fc.array(fc.tuple(line, ending), { maxLength: 20 }),
        fc.infiniteStream(fc.integer({ min: 0, max: 7 })),
        (lines, lengths) => {
          // CR before a lone LF would be one ending: the next line must not begin with one, and none here does but ''.
          const stream = lines.map(([text, end]) => `${text}${end}`).join('');
          const pieces: string[] = [];
          for (let at = 0; at < stream.length; ) {
            const length = lengths.next().value as number;
            pieces.push(stream.slice(at, at + length));
            at += length;
          }
          expect(parse(pieces)).to.deep.equal(parse([stream]));
          expect(parse(stream.split(''))).to.deep.equal(parse([stream]));
        },
      ),
    );
  });

  it('takes CR, LF and CRLF for the same', () => {
    const line = fc.constantFrom('data: a', 'data: b', 'event: progress', 'id: 3', ': c', '');
    fc.assert(
      fc.property(fc.array(line, { maxLength: 20 }), fc.constantFrom('\r\n', '\r'), (lines, ending) => {
        const text = (end: string) => lines.map((entry) => `${entry}${end}`).join('');
        expect(parse([text(ending)])).to.deep.equal(parse([text('\n')]));
      }),
    );
  });
});
