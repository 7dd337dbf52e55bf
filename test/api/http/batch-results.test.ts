import { expect } from 'chai';
import { parse } from 'csv-parse/sync';
import { chunksOf, useBatchRig } from '../batch/support/batch-rig.ts';
import { wineLabels, wineScore } from '../batch/support/wine-chunks.ts';

interface Row {
  readonly row: number;
  readonly id: string | null;
  readonly output?: string;
  readonly score?: number;
  readonly probabilities?: readonly number[];
  readonly line?: number;
  readonly error?: { readonly code: string; readonly message: string; readonly details: unknown };
}

interface Page {
  readonly status: string;
  readonly model_name: string;
  readonly model_version: string;
  readonly predictions: readonly Row[];
  readonly next_cursor: string | null;
}

const ndjson = { accept: 'application/x-ndjson' };
const csv = { accept: 'text/csv' };

function expected(row: number): Row {
  return { row, id: null, output: wineLabels[row % 3] as string, score: wineScore(row) };
}

function rowsOf(text: string): Row[] {
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Row);
}

describe('GET /api/v1/batch/{id}/results', () => {
  const rig = useBatchRig({ redisBytesMax: 2000 });

  const pageOf = async (path: string): Promise<Page> => {
    const response = await rig().get(path);
    expect(response.status).to.equal(200);
    expect(response.headers.get('content-type')).to.equal('application/json');
    return (await response.json()) as Page;
  };

  it('gives pages to the end, in input order, each row once', async () => {
    const id = await rig().submit(chunksOf(250, 40));
    const rows: Row[] = [];
    const sizes: number[] = [];
    let cursor: string | null = '0';
    while (cursor !== null) {
      const page: Page = await pageOf(`/api/v1/batch/${id}/results?limit=70&cursor=${cursor}`);
      expect(page).to.include({ status: 'completed', model_name: 'wine', model_version: 'v1.2.3' });
      rows.push(...page.predictions);
      sizes.push(page.predictions.length);
      cursor = page.next_cursor;
    }
    expect(sizes).to.deep.equal([70, 70, 70, 40]);
    expect(rows).to.deep.equal(Array.from({ length: 250 }, (_, row) => expected(row)));
  });

  it('streams NDJSON in input order, of chunks in Redis and in the artifact store', async () => {
    const id = await rig().submit(chunksOf(1000, 300));
    const response = await rig().get(`/api/v1/batch/${id}/results`, ndjson);
    expect(response.headers.get('content-type')).to.equal('application/x-ndjson');
    expect(response.headers.get('x-batch-status')).to.equal('completed');
    expect(rowsOf(await response.text())).to.deep.equal(
      Array.from({ length: 1000 }, (_, row) => expected(row)),
    );
  });

  it('gives a range of rows', async () => {
    const id = await rig().submit(chunksOf(100, 30));
    const response = await rig().get(`/api/v1/batch/${id}/results?from=25&limit=40`, ndjson);
    const rows = rowsOf(await response.text()).map(({ row }) => row);
    expect(rows).to.deep.equal(Array.from({ length: 40 }, (_, index) => 25 + index));
    const beyond = await rig().get(`/api/v1/batch/${id}/results?from=100`, ndjson);
    expect(await beyond.text()).to.equal('');
    expect((await pageOf(`/api/v1/batch/${id}/results?from=100`)).next_cursor).to.equal(null);
  });

  it("echoes the caller's ids and puts an error in place of the output, with its line", async () => {
    const chunk = {
      firstRow: 0,
      rowCount: 5,
      ids: ['a', 'b', null, 'd"\n', 'ü'],
      lines: { first: 3 },
      refused: [1],
      failed: [4],
    };
    const id = await rig().submit([chunk]);
    const { predictions } = await pageOf(`/api/v1/batch/${id}/results`);
    expect(predictions.map((row) => row.id)).to.deep.equal(chunk.ids);
    expect(predictions[1]).to.deep.equal({
      row: 1,
      id: 'b',
      line: 4,
      error: {
        code: 'invalid_input',
        message: 'It is, "well", not a number',
        details: [{ path: 'inputs[2]', expected: 'a number', found: 'string "x"' }],
      },
    });
    expect(predictions[3]).to.deep.equal({ ...expected(3), id: 'd"\n' });
    expect(predictions[4]).to.deep.equal({
      row: 4,
      id: 'ü',
      line: 7,
      error: { code: 'internal_error', message: 'Unexpected error', details: null },
    });
  });

  it('lists probabilities where they were asked for, as predict does', async () => {
    const over = { render: { returnProbability: true, topK: null, outputs: null } };
    const id = await rig().submit(chunksOf(2, 2), { over });
    const response = await rig().get(`/api/v1/batch/${id}/results`, ndjson);
    expect((await response.text()).split('\n')[1]).to.equal(
      '{"row":1,"id":null,"output":"class_1","probabilities":[0.21875,0.5625,0.21875],"score":0.5625}',
    );
  });

  it('gives CSV that a parser reads back', async () => {
    const over = { render: { returnProbability: true, topK: null, outputs: null } };
    const chunk = { firstRow: 0, rowCount: 3, ids: ['a,b', 'c"d', null], lines: { first: 2 }, refused: [1] };
    const id = await rig().submit([chunk], { over });
    const response = await rig().get(`/api/v1/batch/${id}/results`, csv);
    expect(response.headers.get('content-type')).to.equal('text/csv');
    const text = await response.text();
    expect(text.split('\r\n')).to.have.length(5);
    const rows = parse(text, { columns: true }) as Record<string, string>[];
    expect(rows).to.deep.equal([
      {
        row: '0',
        id: 'a,b',
        output: 'class_0',
        score: '0.5',
        probability_class_0: '0.5',
        probability_class_1: '0.25',
        probability_class_2: '0.25',
        error_code: '',
        error_message: '',
        line: '',
      },
      {
        row: '1',
        id: 'c"d',
        output: '',
        score: '',
        probability_class_0: '',
        probability_class_1: '',
        probability_class_2: '',
        error_code: 'invalid_input',
        error_message: 'It is, "well", not a number',
        line: '3',
      },
      {
        row: '2',
        id: '',
        output: 'class_2',
        score: '0.625',
        probability_class_0: '0.1875',
        probability_class_1: '0.1875',
        probability_class_2: '0.625',
        error_code: '',
        error_message: '',
        line: '',
      },
    ]);
  });

  it('ends at the first unfinished row while the batch runs, and goes on from there', async () => {
    const chunks = chunksOf(50, 10);
    const id = await rig().submit(chunks, { unfinished: [2] });
    const response = await rig().get(`/api/v1/batch/${id}/results`, ndjson);
    expect(response.headers.get('x-batch-status')).to.equal('running');
    expect(rowsOf(await response.text())).to.have.length(20);
    const page = await pageOf(`/api/v1/batch/${id}/results`);
    expect(page.predictions).to.have.length(20);
    expect(page).to.include({ status: 'running', next_cursor: '20' });
    expect(await pageOf(`/api/v1/batch/${id}/results?cursor=20`)).to.deep.include({
      predictions: [],
      next_cursor: '20',
    });
    await rig().finish(id, 2, chunks[2]!);
    const rest = await pageOf(`/api/v1/batch/${id}/results?cursor=20`);
    expect(rest.predictions.map(({ row }) => row)).to.deep.equal(
      Array.from({ length: 30 }, (_, row) => 20 + row),
    );
    expect(rest.next_cursor).to.equal(null);
  });

  it('goes on to the end of the batch when it is followed', async () => {
    const chunks = chunksOf(40, 10);
    const id = await rig().create();
    const response = await rig().get(`/api/v1/batch/${id}/results?follow=true`, ndjson);
    expect(response.status).to.equal(200);
    const reading = response.text();
    for (const [index, chunk] of chunks.entries()) await rig().add(id, index, chunk);
    for (const index of [1, 0, 3, 2]) await rig().finish(id, index, chunks[index]!);
    await rig().ledger.seal(id, 40);
    expect(rowsOf(await reading)).to.deep.equal(Array.from({ length: 40 }, (_, row) => expected(row)));
    expect(rig().streams.results()).to.equal(0);
  });

  it('gives all rows that were done of a batch that was cancelled', async () => {
    const id = await rig().submit(chunksOf(40, 10), { unfinished: [1, 3] });
    await rig().ledger.cancel(id);
    const response = await rig().get(`/api/v1/batch/${id}/results`, ndjson);
    const rows = rowsOf(await response.text()).map(({ row }) => row);
    expect(rows).to.deep.equal([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29]);
    const page = await pageOf(`/api/v1/batch/${id}/results?limit=15`);
    expect(page.next_cursor).to.equal('25');
    const rest = await pageOf(`/api/v1/batch/${id}/results?cursor=25`);
    expect(rest.predictions.map(({ row }) => row)).to.deep.equal([25, 26, 27, 28, 29]);
    expect(rest.next_cursor).to.equal('30');
    expect((await pageOf(`/api/v1/batch/${id}/results?cursor=30`)).next_cursor).to.equal(null);
  });

  it('shows the tensors by name when the version is gone', async () => {
    const id = await rig().submit(chunksOf(2, 2), { over: { version: 'v0' } });
    const { predictions } = await pageOf(`/api/v1/batch/${id}/results`);
    expect(predictions[1]).to.deep.equal({
      row: 1,
      id: null,
      output: { label: 1, probabilities: [0.21875, 0.5625, 0.21875] },
    });
    const rows = parse(await (await rig().get(`/api/v1/batch/${id}/results`, csv)).text()) as string[][];
    expect(rows[0]).to.deep.equal(['row', 'id', 'output', 'error_code', 'error_message', 'line']);
    expect(rows[2]?.[2]).to.equal('{"label":1,"probabilities":[0.21875,0.5625,0.21875]}');
  });

  it('remembers a version that was used before it went', async () => {
    const version = { ...rig().versions[0]!, version: 'v9' };
    rig().versions.push(version);
    const id = await rig().submit(chunksOf(1, 1), { over: { version: 'v9' } });
    const before = await pageOf(`/api/v1/batch/${id}/results`);
    rig().versions.pop();
    expect(await pageOf(`/api/v1/batch/${id}/results`)).to.deep.equal(before);
  });

  it('answers HEAD with the same head and no body', async () => {
    const id = await rig().submit(chunksOf(10, 10));
    for (const headers of [ndjson, csv, { accept: 'application/json' }]) {
      const response = await rig().call('HEAD', `/api/v1/batch/${id}/results`, headers);
      expect(response.status).to.equal(200);
      expect(response.headers.get('content-type')).to.equal(headers.accept);
      expect(await response.text()).to.equal('');
    }
    expect([rig().streams.results(), rig().streams.pages()]).to.deep.equal([0, 0]);
  });

  it('gives pages to a caller that has all its streams open', async () => {
    const id = await rig().submit(chunksOf(20, 10), { unfinished: [1] });
    const follow = `/api/v1/batch/${id}/results?follow=true`;
    const streams = await Promise.all(Array.from({ length: 16 }, () => rig().get(follow, ndjson)));
    expect((await rig().get(follow, ndjson)).status).to.equal(503);
    expect((await pageOf(`/api/v1/batch/${id}/results`)).predictions).to.have.length(10);
    await rig().finish(id, 1, chunksOf(20, 10)[1]!);
    for (const response of streams) expect(rowsOf(await response.text())).to.have.length(20);
    expect([rig().streams.results(), rig().streams.pages()]).to.deep.equal([0, 0]);
  });

  const refusals: readonly (readonly [string, Record<string, string>, number])[] = [
    ['?limit=0', {}, 400],
    ['?limit=10001', {}, 400],
    ['?from=-1', {}, 400],
    ['?from=1&cursor=1', {}, 400],
    ['?cursor=next', {}, 400],
    ['?follow=true', {}, 400],
    ['?follow=perhaps', ndjson, 400],
    ['?page=2', {}, 400],
    ['', { accept: 'text/html' }, 406],
  ];
  for (const [query, headers, status] of refusals)
    it(`answers ${status} to ${query} ${JSON.stringify(headers)}`, async () => {
      const id = await rig().submit(chunksOf(1, 1));
      const response = await rig().get(`/api/v1/batch/${id}/results${query}`, headers);
      expect(response.status).to.equal(status);
    });
});
