import { expect } from 'chai';
import fc from 'fast-check';
import { CsvRows } from '../../../../src/api/batch/ingest/csv-rows.ts';
import { MillraceError } from '../../../../src/errors.ts';
import type { ErrorPlace } from '../../../../src/errors.ts';
import type { ModelVersion } from '../../../../src/registry/model-version.ts';
import {
  buildVersion,
  penguinsVersion,
  regressionVersion,
  spec,
  wineVersion,
} from '../../../support/builders.ts';
import { brief, cut, places, rowsOf, stream } from '../support/pieces.ts';

async function read(
  body: string | Buffer,
  version: ModelVersion,
  cuts: readonly number[] = [],
  bytesMax = 1 << 20,
) {
  const pieces = cut(typeof body === 'string' ? Buffer.from(body) : body, cuts);
  return (await rowsOf(new CsvRows(stream(pieces), version, bytesMax))).map(brief);
}

/** Paths of what is wrong with the upload as a whole. */
async function refusalOf(
  body: string | Buffer,
  version: ModelVersion,
  cuts: readonly number[] = [],
): Promise<readonly string[]> {
  try {
    await read(body, version, cuts);
  } catch (error) {
    if (!MillraceError.is(error)) throw error;
    return Array.isArray(error.details)
      ? (error.details as readonly ErrorPlace[]).map(({ path }) => path)
      : [JSON.stringify(error.details)];
  }
  throw new Error('it was taken');
}

const header = 'alcohol,flavanoids,color_intensity,hue,proline';
const named = { alcohol: 1, flavanoids: 2, color_intensity: 3, hue: 4, proline: 5 };

describe('rows of CSV', () => {
  it('are instances by feature name, columns in any order, an id among them', async () => {
    expect(await read(`${header}\n1,2,3,4,5\n`, wineVersion())).to.deep.equal([[2, null, named]]);
    const shuffled = 'hue,id,proline,alcohol,flavanoids,color_intensity\r\n4,mine,5,1,2,3\r\n4,,5,1,2,3';
    expect(await read(shuffled, wineVersion())).to.deep.equal([
      [2, 'mine', named],
      [3, null, named],
    ]);
  });

  it('take a byte order mark, any end of line, blank lines and quotes', async () => {
    const rows = await read(`\ufeff${header}\r\n"1",2,3,4,5\n\n1,2,3,4,5\r1,2,3,4,"5"`, wineVersion());
    expect(rows).to.deep.equal([
      [2, null, named],
      [4, null, named],
      [5, null, named],
    ]);
  });

  it('read cells as the signature says', async () => {
    const version = buildVersion({
      inputs: [
        spec('f', 'FP32', [-1, 1]),
        spec('i', 'INT32', [-1]),
        spec('w', 'INT64', [-1, 1]),
        spec('b', 'BOOL', [-1, 1]),
        spec('s', 'BYTES', [-1, 1]),
      ],
    });
    const cells = ['1e3,-7,9223372036854775807,True,"a ""b"", c"', ' 2.50 ,5.0,12,0,', 'NaN,x,1.5,maybe,1'];
    expect(
      (await read(`f,i,w,b,s\n${cells.join('\n')}`, version)).map(([, , instance]) => instance),
    ).to.deep.equal([
      { f: 1000, i: -7, w: '9223372036854775807', b: true, s: 'a "b", c' },
      { f: 2.5, i: 5, w: '12', b: false, s: '' },
      { f: 'NaN', i: 'x', w: 1.5, b: 'maybe', s: '1' },
    ]);
  });

  it('read a cell of a megabyte that is nearly a number no slower than others', async () => {
    for (const almost of [`${'1'.repeat(1e6)}x`, `1.${'1'.repeat(1e6)}x`, `1e${'1'.repeat(1e6)}x`]) {
      const [row] = await read(`${header}\n${almost},2,3,4,5\n`, wineVersion());
      expect(row).to.deep.equal([2, null, { ...named, alcohol: almost }]);
    }
  });

  it('take an empty cell for what is missing', async () => {
    const rows = await read('island,sex,bill_length_mm,body_mass_g\nBiscoe,,,', penguinsVersion());
    expect(rows[0]?.[2]).to.deep.equal({
      island: 'Biscoe',
      sex: null,
      bill_length_mm: null,
      body_mass_g: null,
    });
    expect(await read('island,bill_length_mm\nDream,40', penguinsVersion())).to.deep.equal([
      [2, null, { island: 'Dream', bill_length_mm: 40 }],
    ]);
  });

  it('lie by position for a model without names', async () => {
    const ten = Array.from({ length: 10 }, (_, index) => `c${index}`);
    const cells = ten.map((_, index) => index);
    expect(await read(`${ten.join()}\n${cells.join()}`, regressionVersion())).to.deep.equal([
      [2, null, cells],
    ]);
    expect(await read(`id,${ten.join()}\nmine,${cells.join()}`, regressionVersion())).to.deep.equal([
      [2, 'mine', cells],
    ]);
    expect(await refusalOf('a,b\n1,2', regressionVersion())).to.deep.equal(['header']);
  });

  it('are refused at once for columns that are unknown, missing or there twice', async () => {
    expect(await refusalOf('alcohol,flavanoids,color_intensity,hue,prolin,x\n', wineVersion())).to.deep.equal(
      ['header["proline"]', 'header["prolin"]', 'header["x"]'],
    );
    expect(await refusalOf(`${header},hue\n`, wineVersion())).to.deep.equal(['header["hue"]']);
    expect(await refusalOf('', wineVersion())).to.deep.equal(['(root)']);
    const wide = buildVersion({ inputs: [spec('a', 'FP32', [-1, 2]), spec('b', 'FP32', [-1, 1])] });
    expect((await refusalOf('a,b\n', wide))[0]).to.contain('more than one value a row');
    expect((await refusalOf('a\n', buildVersion({ inputs: [spec('a', 'FP32', [-1, -1])] })))[0]).to.contain(
      'lengths',
    );
  });

  it('are refused one by one for their number of cells, with their line', async () => {
    const rows = await read(`${header}\n1,2,3,4\n1,2,3,4,5\n1,2,3,4,5,6`, wineVersion());
    expect(rows.map(([line]) => line)).to.deep.equal([2, 3, 4]);
    expect(rows[0]?.[2]).to.contain('line 2: expected 5 cells');
    expect(rows[2]?.[2]).to.contain('line 4: expected 5 cells');
  });

  it('begin on the line that is named, also over line breaks in cells', async () => {
    const version = buildVersion({ inputs: [spec('s', 'BYTES', [-1, 1]), spec('t', 'BYTES', [-1, 1])] });
    const rows = await read('s,t\n"one\ntwo","three\r\nfour"\n\nx,y\n', version);
    expect(rows).to.deep.equal([
      [2, null, { s: 'one\ntwo', t: 'three\r\nfour' }],
      [6, null, { s: 'x', t: 'y' }],
    ]);
  });

  it('see a quote within an unquoted cell as a character, and refuse one that never ends', async () => {
    const version = buildVersion({ inputs: [spec('s', 'BYTES', [-1, 1]), spec('t', 'BYTES', [-1, 1])] });
    expect(await read('s,t\n5"6,"7"8\n1,2\n', version)).to.deep.equal([
      [2, null, { s: '5"6', t: '"7"8' }],
      [3, null, { s: '1', t: '2' }],
    ]);
    const open = await read('s,t\n1,2\n3,"4\n5,6\n', version);
    expect(open).to.have.length(2);
    expect(open[1]?.[2]).to.contain('a quote that ends');
  });

  it('end the upload when one is too long', async () => {
    const long = `${header}\n1,2,3,4,5\n1,2,3,4,${'5'.repeat(100)}\n1,2,3,4,5`;
    for (const cuts of [[], [60], [70, 90]])
      expect(await read(long, wineVersion(), cuts, 80).catch((error: Error) => error.message)).to.match(
        /line 3 is too long/,
      );
  });

  it('say of text that is not UTF-8 that it fits no datatype', async () => {
    const version = buildVersion({ inputs: [spec('s', 'BYTES', [-1, 1]), spec('t', 'BYTES', [-1, 1])] });
    const body = Buffer.concat([Buffer.from('s,t\na,'), Buffer.from([0xff]), Buffer.from('\n')]);
    expect((await read(body, version))[0]?.[2]).to.deep.equal({ s: 'a', t: ['bytes that are not UTF-8'] });
  });

  it('are refused in UTF-16, by its byte order mark', async () => {
    const utf16 = Buffer.from(`\ufeff${header}\n1,2,3,4,5\n`, 'utf16le');
    for (const body of [utf16, Buffer.from(utf16).swap16()])
      for (const cuts of [[], [0, 1]])
        expect(await refusalOf(body, wineVersion(), cuts)).to.deep.equal(['line 1']);
  });

  it('have members of any name', async () => {
    const names = ['__proto__', 'constructor'];
    const version = buildVersion({ inputs: names.map((name) => spec(name, 'FP32', [-1, 1])) });
    const [row] = await read(`${names.join()}\n1,2\n`, version);
    expect(Object.entries(row?.[2] as object)).to.deep.equal([
      ['__proto__', 1],
      ['constructor', 2],
    ]);
  });

  it('are the same however the bytes are cut', async () => {
    const version = buildVersion({ inputs: [spec('s', 'BYTES', [-1, 1]), spec('t', 'BYTES', [-1, 1])] });
    const cell = fc.constantFrom('a', '"b"', '"c,""d"""', '"e\nf"', '', 'é😀', 'x"y', '"\r\n"');
    const record = fc.array(cell, { minLength: 1, maxLength: 3 }).map((cells) => cells.join());
    await fc.assert(
      fc.asyncProperty(
        fc.array(record),
        fc.constantFrom('\n', '\r\n', '\r'),
        places,
        async (records, end, cuts) => {
          const body = ['s,t', ...records].join(end);
          expect(await read(body, version, cuts)).to.deep.equal(await read(body, version));
        },
      ),
    );
  });
});
