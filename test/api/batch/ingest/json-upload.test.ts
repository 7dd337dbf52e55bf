import { expect } from 'chai';
import fc from 'fast-check';
import { JsonUpload } from '../../../../src/api/batch/ingest/json-upload.ts';
import { MillraceError } from '../../../../src/errors.ts';
import type { ErrorPlace } from '../../../../src/errors.ts';
import { wineVersion } from '../../../support/builders.ts';
import { brief, cut, places, rowsOf, stream } from '../support/pieces.ts';

interface Limits {
  readonly isModelKnown?: boolean;
  readonly heldBytesMax?: number;
  readonly elementBytesMax?: number;
  readonly cuts?: readonly number[];
}

function open(text: string | Buffer, { cuts = [], ...limits }: Limits = {}): JsonUpload {
  const pieces = cut(typeof text === 'string' ? Buffer.from(text) : text, cuts);
  const roomy = { isModelKnown: false, heldBytesMax: 1 << 20, elementBytesMax: 1 << 20 };
  return new JsonUpload(stream(pieces), { ...roomy, ...limits });
}

async function readAll(upload: JsonUpload) {
  const head = await upload.head(() => undefined);
  return { head, isWhole: upload.isWhole, rows: (await rowsOf(upload.rows(wineVersion()))).map(brief) };
}

/** Code, place and what was found, of the upload as a whole. */
async function refusalOf(text: string | Buffer, limits?: Limits): Promise<string> {
  try {
    await readAll(open(text, limits));
  } catch (error) {
    if (!MillraceError.is(error)) throw error;
    const [place] = error.details as readonly ErrorPlace[];
    return `${error.code} ${place?.path} ${place?.found}`;
  }
  throw new Error('it was taken');
}

/** Cuts behind each of so many bytes. */
const every = (length: number, text: string) =>
  Array.from({ length: Math.ceil(text.length / length) }, (_, index) => index * length);

describe('uploads of JSON', () => {
  it('give parameters, webhook and rows, whatever comes first', async () => {
    const members = [
      '"inputs":[[1,2],{"hue":3},{"id":"mine","inputs":4}]',
      '"parameters":{"top_k":2}',
      '"webhook":"https://a.example"',
    ];
    for (const order of [
      [0, 1, 2],
      [2, 1, 0],
      [1, 0, 2],
      [1, 2, 0],
    ])
      expect(await readAll(open(`{${order.map((index) => members[index]).join()}}`))).to.deep.equal({
        head: { parameters: { top_k: 2 }, webhook: 'https://a.example' },
        isWhole: true,
        rows: [
          [null, null, [1, 2]],
          [null, null, { hue: 3 }],
          [null, 'mine', 4],
        ],
      });
  });

  it('of any text and cut give the elements of inputs', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.jsonValue(), { minLength: 1 }),
        places,
        fc.nat({ max: 200 }),
        async (inputs, cuts, heldBytesMax) => {
          // An envelope is opened: other tests.
          fc.pre(!inputs.some((each) => typeof each === 'object' && each !== null && 'inputs' in each));
          const upload = open(JSON.stringify({ parameters: {}, inputs }), {
            cuts,
            heldBytesMax,
            isModelKnown: true,
          });
          const { rows } = await readAll(upload);
          expect(rows.map(([, , instance]) => instance)).to.deep.equal(JSON.parse(JSON.stringify(inputs)));
        },
      ),
    );
  });

  it('are refused as a whole for what is no body of a batch', async () => {
    expect(await refusalOf('')).to.match(/^invalid_input \(root\)/);
    expect(await refusalOf('[[1]]')).to.equal('invalid_input (root) "["');
    expect(await refusalOf('{}')).to.equal('invalid_input inputs nothing');
    expect(await refusalOf('{"inputs":[]}')).to.equal('invalid_input inputs an empty array');
    expect(await refusalOf('{"inputs":{"a":1}}')).to.equal(
      'invalid_input inputs an object'.replace('an object', 'an object'),
    );
    expect(await refusalOf('{"inputs":[1],"parameters":{"topk":1}}')).to.match(
      /^invalid_input parameters\.topk/,
    );
    expect(await refusalOf('{"inputs":[1],"parameters":{"timeout_ms":1}}')).to.match(
      /^invalid_input parameters\.timeout_ms/,
    );
    expect(await refusalOf('{"inputs":[1],"webhook":7}')).to.equal('invalid_input webhook number 7');
    expect(await refusalOf('{"inputs":[1],"input":[1]}')).to.equal('invalid_input input an unknown name');
    expect(await refusalOf('{"source":"s3://a/b"}')).to.equal('invalid_input source a source');
    expect(await refusalOf('{"inputs":[1]')).to.match(/^invalid_input \(root\)/);
    expect(await refusalOf('{"inputs":[1,[2}]}')).to.match(/^invalid_input \(root\)/);
    expect(
      await refusalOf(Buffer.from([...Buffer.from('{"inputs":["'), 0xff, ...Buffer.from('"]}')])),
    ).to.match(/^invalid_input \(root\) bytes/);
    expect(await refusalOf(`{"inputs":["${'x'.repeat(50)}"]}`, { elementBytesMax: 20 })).to.equal(
      'payload_too_large inputs[0] more',
    );
  });

  it('beyond what is held must name the model first, or in the path', async () => {
    const rows = Array.from({ length: 50 }, (_, index) => `[${index}]`).join();
    const limits = { heldBytesMax: 40, cuts: every(10, rows) };
    const late = `{"inputs":[${rows}],"parameters":{"model":"wine"}}`;
    const first = `{"parameters":{"model":"wine"},"inputs":[${rows}]}`;
    expect(await refusalOf(late, limits)).to.equal('payload_too_large parameters nothing so far');
    expect(await refusalOf(late, { ...limits, isModelKnown: true })).to.equal(
      'invalid_input parameters it behind them',
    );
    const taken = await readAll(open(first, limits));
    expect(taken.isWhole).to.equal(false);
    expect(taken.rows).to.have.length(50);
    const bare = await readAll(open(`{"inputs":[${rows}]}`, { ...limits, isModelKnown: true }));
    expect(bare.rows).to.deep.equal(taken.rows);
  });

  it('hold no more than they may, and say how much', async () => {
    const rows = Array.from({ length: 1000 }, (_, index) => `[${index}]`).join();
    const text = `{"parameters":{},"inputs":[${rows}]}`;
    const upload = open(text, { heldBytesMax: 1000, cuts: every(100, text) });
    const held: number[] = [];
    await upload.head((bytes) => held.push(bytes));
    // The text, and two numbers for each of some 200 rows.
    expect(Math.max(...held)).to.be.within(900, 4500);
    for await (const block of upload.rows(wineVersion()).blocks()) {
      expect([...block].length).to.be.lessThan(250);
      expect(upload.heldBytes).to.be.lessThan(1200);
    }
    expect(upload.heldBytes).to.equal(0);
  });
});
