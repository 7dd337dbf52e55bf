import { expect } from 'chai';
import { gzipSync } from 'node:zlib';
import { until } from '../../src/dev/readiness.ts';
import { useStack } from '../support/stack.ts';
import type { AnswerBody, PredictionBody } from './client.ts';
import { differences, readExpected } from './expected.ts';
import type { Expected } from './expected.ts';

interface BatchBody {
  readonly id: string;
  readonly status: string;
  readonly model_version: string;
  readonly counts: { readonly total: number; readonly succeeded: number; readonly failed: number };
}

interface ResultRow extends PredictionBody {
  readonly row: number;
  readonly line?: number;
  readonly error?: { readonly code: string; readonly message: string };
}

const models = ['wine', 'iris', 'digits', 'diabetes', 'penguins'];

describe('batches, end to end', () => {
  const stack = useStack();

  const post = (
    path: string,
    type: string,
    body: string | Uint8Array,
    headers: object = {},
  ): Promise<Response> =>
    fetch(`${stack().url}${path}`, {
      method: 'POST',
      headers: { 'content-type': type, 'x-api-key': stack().key, ...headers },
      body,
    });
  const get = (path: string, accept: string): Promise<Response> =>
    fetch(`${stack().url}${path}`, { headers: { accept, 'x-api-key': stack().key } });

  /** The batch once it has ended, and its rows. */
  async function finished(accepted: Response): Promise<{ batch: BatchBody; rows: ResultRow[] }> {
    const text = await accepted.text();
    expect(accepted.status, text).to.equal(202);
    const path = accepted.headers.get('location') ?? '';
    let batch = JSON.parse(text) as BatchBody;
    expect(path).to.equal(`/api/v1/batch/${batch.id}`);
    await until(async () => {
      batch = (await (await get(path, 'application/json')).json()) as BatchBody;
      return batch.status === 'completed';
    }, AbortSignal.timeout(20_000));
    const lines = (await (await get(`${path}/results`, 'application/x-ndjson')).text()).trimEnd().split('\n');
    return { batch, rows: lines.map((line) => JSON.parse(line) as ResultRow) };
  }

  function expectRight({ labels, rows }: Expected, found: readonly PredictionBody[]): void {
    const wrong = rows.flatMap((row, index) => {
      const pair = differences(labels, row, found[index] as PredictionBody);
      return pair.length === 0 ? [] : [{ index, pair }];
    });
    expect(wrong).to.deep.equal([]);
    expect(found).to.have.length(rows.length);
  }

  for (const model of models) {
    it(`${model} answers a JSON batch of its data set as scikit-learn does, in one answer`, async () => {
      const expected = await readExpected(model);
      const inputs = expected.rows.map((row) => row.inputs);
      const parameters = expected.labels === null ? {} : { return_probability: true };
      const body = JSON.stringify({ inputs, parameters });
      const answer = await post(`/api/v1/models/${model}/batch`, 'application/json', body, {
        prefer: 'wait=30',
      });
      const text = await answer.text();
      expect(answer.status, text).to.equal(200);
      expect(answer.headers.get('preference-applied')).to.equal('wait=30');
      const document = JSON.parse(text) as AnswerBody;
      const fields = ['predictions', 'model_version', 'model_name', 'processing_time_ms'];
      expect(Object.keys(document)).to.deep.equal(fields);
      expect(document).to.include({ model_name: model });
      expectRight(expected, document.predictions);
      expect(new Set(document.predictions.map(({ id }) => id))).to.have.property('size', inputs.length);
    });

    it(`${model} answers NDJSON of its data set, compressed and with ids, as scikit-learn does`, async () => {
      const expected = await readExpected(model);
      const lines = expected.rows.map(({ inputs }, row) => JSON.stringify({ id: `${model} ${row}`, inputs }));
      const query = expected.labels === null ? '' : '?return_probability=true';
      const path = `/api/v1/models/${model}/batch${query}`;
      const packed = gzipSync(lines.join('\r\n'));
      const { batch, rows } = await finished(
        await post(path, 'application/x-ndjson', packed, { 'content-encoding': 'gzip' }),
      );
      expect(batch.counts).to.deep.equal({ total: lines.length, succeeded: lines.length, failed: 0 });
      expectRight(expected, rows);
      expect(rows.map(({ id }) => id)).to.deep.equal(rows.map((_, row) => `${model} ${row}`));
      expect(rows.map(({ row }) => row)).to.deep.equal(rows.map((_, row) => row));
    });
  }

  it('takes CSV by feature name and by input name', async () => {
    for (const [model, names] of [
      ['iris', ['sepal_length', 'sepal_width', 'petal_length', 'petal_width']],
      ['penguins', null],
    ] as const) {
      const expected = await readExpected(model);
      const records = expected.rows.map(({ inputs }) =>
        names === null
          ? (inputs as Record<string, string | number | null>)
          : Object.fromEntries(names.map((name, index) => [name, (inputs as number[])[index] as number])),
      );
      const header = names ?? Object.keys(records[0]!);
      const lines = records.map((record) => header.map((name) => record[name] ?? '').join());
      const body = [header.join(), ...lines].join('\n');
      const path = `/api/v1/models/${model}/batch?return_probability=true`;
      const { rows } = await finished(await post(path, 'text/csv', body));
      expectRight(expected, rows);
    }
  });

  it('keeps every row of many chunks in its place, those that are refused among them', async () => {
    const { rows } = await readExpected('wine');
    const total = 20_000;
    const lines = Array.from({ length: total }, (_, row) =>
      row % 1000 === 7 ? 'nope' : JSON.stringify(rows[row % rows.length]!.inputs),
    );
    const { batch, rows: found } = await finished(
      await post('/api/v1/batch?model=wine', 'application/x-ndjson', lines.join('\n')),
    );
    expect(batch.counts).to.deep.equal({ total, succeeded: total - 20, failed: 20 });
    const wrong = found.filter(({ row, line, output, error }, index) => {
      if (row !== index) return true;
      if (row % 1000 === 7) return line !== row + 1 || error?.code !== 'invalid_input';
      return output !== rows[row % rows.length]!.output;
    });
    expect(wrong).to.deep.equal([]);
  });

  it("answers the document's own example of a batch", async () => {
    const inputs = [
      [1.5, 2.0, 3.1, 4.2, 5.0],
      [2.5, 3.0, 1.1, 2.2, 3.0],
    ];
    const body = JSON.stringify({ inputs, parameters: { return_probability: true } });
    const answer = (await (await post('/api/v1/batch', 'application/json', body)).json()) as AnswerBody;
    expect(answer.predictions.map((each) => Object.keys(each))).to.deep.equal([
      ['id', 'output', 'probabilities', 'score'],
      ['id', 'output', 'probabilities', 'score'],
    ]);
    expect(answer).to.include({ model_name: 'wine', model_version: 'v1.0.0' });
  });
});
