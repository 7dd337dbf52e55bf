import { expect } from 'chai';
import { rowTexts } from '../../../src/api/batch/results/row-texts.ts';
import type { RowRange } from '../../../src/api/batch/results/row-texts.ts';
import { compileRowWriter } from '../../../src/api/batch/results/row-writer.ts';
import type { ChunkResult } from '../../../src/queues/batch/chunk.ts';
import { wineVersion } from '../../support/builders.ts';
import { wineResult } from './support/wine-chunks.ts';

const render = { returnProbability: false, topK: null, outputs: null };
const whole: RowRange = { fromRow: 0, limit: Number.POSITIVE_INFINITY, prompt: false };

async function* chunks(sizes: readonly number[]): AsyncGenerator<ChunkResult> {
  let firstRow = 0;
  for (const rowCount of sizes) {
    yield wineResult({ firstRow, rowCount });
    firstRow += rowCount;
  }
}

async function collect(texts: AsyncIterable<string>): Promise<string[]> {
  const all: string[] = [];
  for await (const text of texts) all.push(text);
  return all;
}

describe('rowTexts', () => {
  const texts = (
    format: 'ndjson' | 'json' | 'csv',
    sizes: readonly number[],
    range: Partial<RowRange> = {},
  ) => rowTexts(chunks(sizes), compileRowWriter(wineVersion(), render, format), { ...whole, ...range });

  it('lets the event loop turn while it renders for a reader that is always ready', async () => {
    let turns = 0;
    let done = false;
    const turn = (): void => {
      turns += 1;
      if (!done) setImmediate(turn);
    };
    setImmediate(turn);
    let bytes = 0;
    for await (const text of texts('ndjson', [200_000, 200_000])) bytes += text.length;
    done = true;
    expect(bytes).to.be.greaterThan(400_000 * 50);
    // A turn every few ms of some hundred; slower machines have more of them.
    expect(turns).to.be.greaterThan(5);
  });

  it('gathers rows into pieces, unless they are to be handed on as they come', async () => {
    const sizes = Array.from({ length: 50 }, () => 10);
    expect(await collect(texts('ndjson', sizes))).to.have.length(1);
    expect(await collect(texts('ndjson', sizes, { prompt: true }))).to.have.length(50);
  });

  it('says which row comes next', async () => {
    const generator = texts('ndjson', [10, 10, 10], { fromRow: 5, limit: 7 });
    let step = await generator.next();
    let text = '';
    for (; step.done !== true; step = await generator.next()) text += step.value;
    expect(text.trim().split('\n')).to.have.length(7);
    expect(step.value).to.equal(12);
  });

  it('separates rows of JSON, within chunks and between them', async () => {
    const text = (await collect(texts('json', [1, 2, 1], { prompt: true }))).join('');
    const rows = JSON.parse(`[${text}]`) as readonly { readonly row: number }[];
    expect(rows.map(({ row }) => row)).to.deep.equal([0, 1, 2, 3]);
  });

  it('gives CSV its header also when there are no rows', async () => {
    expect(await collect(texts('csv', []))).to.deep.equal([
      'row,id,output,score,error_code,error_message,line\r\n',
    ]);
  });
});
