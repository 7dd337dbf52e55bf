import { expect } from 'chai';
import { ChunkBuilder } from '../../../../src/api/batch/ingest/chunk-builder.ts';
import type { Row } from '../../../../src/api/batch/ingest/row.ts';
import { MillraceError } from '../../../../src/errors.ts';
import { decodeChunkInput, encodeChunkInput } from '../../../../src/queues/batch/chunk.ts';
import type { ChunkInput } from '../../../../src/queues/batch/chunk.ts';
import type { ModelVersion } from '../../../../src/registry/model-version.ts';
import { buildVersion, spec, wineVersion } from '../../../support/builders.ts';

/** All chunks of these rows, encoded and decoded as they come: their memory is the builder's. */
function build(
  rows: readonly Partial<Row>[],
  version: ModelVersion = wineVersion(),
  over = {},
): ChunkInput[] {
  const chunks: ChunkInput[] = [];
  const keep = (chunk: ChunkInput): void => {
    const address = { batchId: 'b', index: chunks.length };
    chunks.push(decodeChunkInput(address, encodeChunkInput(address, chunk)));
  };
  const builder = new ChunkBuilder(version, { rowsMax: () => 4, bytesMax: 1 << 20, ...over }, keep);
  for (const row of rows) builder.add({ id: null, line: null, instance: undefined, error: null, ...row });
  builder.flush();
  builder.flush();
  expect(builder.rowsTotal).to.equal(rows.length);
  return chunks;
}

const good = (value: number): Partial<Row> => ({ instance: [value, 2, 3, 4, 5] });
const firstOf = ({ tensors }: ChunkInput): number[] => {
  const data = tensors.get('X')?.data as Float32Array | undefined;
  return data === undefined ? [] : [...data].filter((_, index) => index % 5 === 0);
};

describe('chunks of rows', () => {
  it('hold so many rows, in order, and count them through', () => {
    const chunks = build(Array.from({ length: 10 }, (_, row) => good(row)));
    expect(chunks.map(({ firstRow, rowCount }) => [firstRow, rowCount])).to.deep.equal([
      [0, 4],
      [4, 4],
      [8, 2],
    ]);
    expect(chunks.flatMap(firstOf)).to.deep.equal([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    for (const { ids, lines, refusals } of chunks)
      expect([ids, lines, refusals]).to.deep.equal([null, null, []]);
  });

  it('hold so many bytes, or one row that has more', () => {
    const rows = Array.from({ length: 6 }, (_, row) => good(row));
    expect(
      build(rows, wineVersion(), { rowsMax: () => 100, bytesMax: 40 }).map(({ rowCount }) => rowCount),
    ).to.deep.equal([2, 2, 2]);
    expect(build(rows, wineVersion(), { bytesMax: 1 })).to.have.length(6);
  });

  it('refuse a row where it stands, and pack those around it', () => {
    const [chunk] = build([
      good(0),
      { instance: [1, 2] },
      good(2),
      { error: new MillraceError('invalid_input', 'Line 9 is not valid JSON') },
    ]);
    expect(firstOf(chunk!)).to.deep.equal([0, 2]);
    expect(chunk!.refusals.map(({ row, retryable, error }) => [row, retryable, error.message])).to.deep.equal(
      [
        [1, false, 'inputs[1]: expected an array of 5 (one value for each feature), found an array of 2'],
        [3, false, 'Line 9 is not valid JSON'],
      ],
    );
  });

  it('name the line of a row that has one', () => {
    const [chunk] = build([
      { ...good(0), line: 7 },
      { instance: [1, 2, 'x', 4, 5], line: 8 },
    ]);
    expect(chunk!.refusals[0]!.error.message).to.match(/^line 8, inputs\[2\]: expected/);
    expect(chunk!.lines).to.deep.equal({ first: 7 });
  });

  it('count rows of the whole batch in what they name', () => {
    const chunks = build([good(0), good(1), good(2), good(3), { instance: 'x' }]);
    expect(chunks[1]!.refusals[0]!.error.message).to.match(/^inputs\[4\]: expected/);
    expect(chunks[1]!.tensors.size).to.equal(0);
  });

  it('list lines once one was passed over, and ids once one was given', () => {
    const rows = [
      { ...good(0), line: 2 },
      { ...good(1), line: 3, id: 'b' },
      { ...good(2), line: 5 },
      { ...good(3), line: 6 },
      { ...good(4), line: 7 },
    ];
    const chunks = build(rows);
    expect(chunks.map(({ lines }) => lines)).to.deep.equal([{ each: [2, 3, 5, 6] }, { first: 7 }]);
    expect(chunks.map(({ ids }) => ids)).to.deep.equal([[null, 'b', null, null], null]);
  });

  it('end where the shape of rows changes', () => {
    const version = buildVersion({ inputs: [spec('x', 'FP32', [-1, -1])] });
    const rows = [[1], [2], [1, 2], 'bad', [3, 4], [5]].map((instance) => ({ instance }));
    expect(
      build(rows, version).map(({ rowCount, refusals, tensors }) => [
        rowCount,
        refusals.length,
        tensors.get('x')?.shape,
      ]),
    ).to.deep.equal([
      [2, 0, [2, 1]],
      [3, 1, [2, 2]],
      [1, 0, [1, 1]],
    ]);
  });

  it('ask anew for each how many rows they may hold', () => {
    const sizes = [1, 3, 2];
    const rows = Array.from({ length: 6 }, (_, row) => good(row));
    const chunks = build(rows, wineVersion(), { rowsMax: () => sizes.shift() ?? 9 });
    expect(chunks.map(({ rowCount }) => rowCount)).to.deep.equal([1, 3, 2]);
  });
});
