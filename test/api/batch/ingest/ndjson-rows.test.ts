import { expect } from 'chai';
import fc from 'fast-check';
import { NdjsonRows } from '../../../../src/api/batch/ingest/ndjson-rows.ts';
import type { ModelVersion } from '../../../../src/registry/model-version.ts';
import { buildVersion, spec, wineVersion } from '../../../support/builders.ts';
import { brief, cut, places, rowsOf, stream } from '../support/pieces.ts';

function read(body: string | Buffer, version: ModelVersion = wineVersion(), cuts: readonly number[] = []) {
  return rowsOf(new NdjsonRows(stream(cut(Buffer.from(body as string), cuts)), version, 1 << 20));
}

const briefly = async (body: string | Buffer, version?: ModelVersion) =>
  (await read(body, version)).map(brief);

describe('rows of NDJSON', () => {
  it('are instances or envelopes, a line each', async () => {
    const body =
      '[1,2]\r\n{"hue":1}\n{"id":"mine","inputs":[3]}\n{"inputs":[4]}\n{"inputs":5,"id":null}\n"x"';
    expect(await briefly(body)).to.deep.equal([
      [1, null, [1, 2]],
      [2, null, { hue: 1 }],
      [3, 'mine', [3]],
      [4, null, [4]],
      [5, null, 5],
      [6, null, 'x'],
    ]);
  });

  it('pass over blank lines and count them', async () => {
    expect(await briefly('\n \t\r\n[1]\n\n\n[2]\n\n')).to.deep.equal([
      [3, null, [1]],
      [6, null, [2]],
    ]);
    expect(await briefly('\ufeff\n[1]')).to.deep.equal([[2, null, [1]]]);
  });

  it('that are not JSON, or not UTF-8, are refused alone', async () => {
    const rows = await briefly(
      Buffer.concat([Buffer.from('[1]\nnope\n'), Buffer.from([0xff]), Buffer.from('\n[2')]),
    );
    expect(rows).to.deep.equal([
      [1, null, [1]],
      [2, null, 'Line 2 is not valid JSON'],
      [3, null, 'Line 3 is not valid UTF-8'],
      [4, null, 'Line 4 is not valid JSON'],
    ]);
  });

  it('are refused for an id that is none', async () => {
    const ids = [
      '7',
      '""',
      '{}',
      JSON.stringify('x'.repeat(257)),
      '"\\ud800"',
      JSON.stringify('y'.repeat(256)),
    ];
    const rows = await read(ids.map((id) => `{"id":${id},"inputs":1}`).join('\n'));
    expect(rows.map(({ error }) => error !== null)).to.deep.equal([true, false, true, true, true, false]);
  });

  it('have an envelope only where it can be told from an instance', async () => {
    const feature = (...names: string[]) =>
      buildVersion({
        manifest: { features: names.map((name) => ({ name })) },
        inputs: [spec('X', 'FP32', [-1, names.length])],
      });
    const bare = '{"inputs":1}';
    const named = '{"id":"a","inputs":1}';
    const more = '{"id":"a","inputs":1,"other":2}';
    const instances = async (version: ModelVersion) =>
      (await read([bare, named, more].join('\n'), version)).map(({ instance }) => JSON.stringify(instance));
    expect(await instances(feature('x'))).to.deep.equal(['1', '1', more]);
    expect(await instances(feature('id', 'x'))).to.deep.equal(['1', '1', more]);
    expect(await instances(feature('inputs', 'x'))).to.deep.equal([bare, '1', more]);
    expect(await instances(feature('inputs', 'id'))).to.deep.equal([bare, named, more]);
    const inputs = [spec('inputs', 'FP32', [-1, 1]), spec('id', 'FP32', [-1, 1])];
    expect(await instances(buildVersion({ inputs }))).to.deep.equal([bare, named, more]);
  });

  it('keep integers exact where the model can tell', async () => {
    const wide = buildVersion({ inputs: [spec('x', 'INT64', [-1, 1])] });
    expect((await read('[9223372036854775807]', wide))[0]?.instance).to.deep.equal([
      9_223_372_036_854_775_807n,
    ]);
  });

  it('are the same however the bytes are cut', async () => {
    const line = fc.oneof(
      fc.json({ maxDepth: 2 }).filter((text) => !text.includes('\n')),
      fc.constantFrom('', ' ', '{"id":"é","inputs":[1]}', '{"id":1,"inputs":2}', 'not'),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(line), fc.constantFrom('\n', '\r\n'), places, async (lines, end, cuts) => {
        const body = lines.join(end);
        const whole = await read(body);
        const pieces = await read(body, wineVersion(), cuts);
        expect(pieces.map(brief)).to.deep.equal(whole.map(brief));
      }),
    );
  });
});
