import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'chai';
import { packageRoot } from '../../src/dev/package-root.ts';
import { exampleBody } from '../../src/dev/readiness.ts';
import { useStack } from '../support/stack.ts';
import { Client, mapConcurrently, predictionOf } from './client.ts';
import type { PredictionBody } from './client.ts';

/** Written by examples/training: what the scikit-learn pipeline says of each row of its data set. */
interface Expected {
  readonly model: string;
  readonly labels: readonly (string | number)[] | null;
  readonly rows: readonly ExpectedRow[];
}

interface ExpectedRow {
  readonly inputs: unknown;
  readonly output: string | number;
  readonly probabilities?: readonly number[];
}

/** Of a probability, and for regressions of the number itself. */
const toleranceMax = 1e-5;
const concurrency = 32;

async function readExpected(model: string): Promise<Expected> {
  return JSON.parse(await readFile(join(packageRoot, `test/data/${model}.json`), 'utf8')) as Expected;
}

/** What differs from scikit-learn: expected and found. Empty when nothing does. */
function differences(
  labels: Expected['labels'],
  row: ExpectedRow,
  found: PredictionBody,
): readonly unknown[] {
  if (labels === null) {
    const relative = Math.abs(Number(found.output) / Number(row.output) - 1);
    return relative <= toleranceMax ? [] : [row.output, found.output];
  }
  if (found.output !== row.output) return [row.output, found.output];
  const expected = row.probabilities ?? [];
  const score = expected[labels.indexOf(row.output)];
  if (!isNear(found.score, score)) return [score, found.score];
  const { probabilities = expected } = found;
  const same =
    probabilities.length === labels.length && expected.every((p, place) => isNear(p, probabilities[place]));
  return same ? [] : [expected, probabilities];
}

function isNear(a = Number.NaN, b = Number.NaN): boolean {
  return Math.abs(a - b) <= toleranceMax;
}

describe('sample models', () => {
  const stack = useStack();
  let client: Client;
  before(() => (client = new Client(stack())));
  after(() => client.close());

  for (const model of ['wine', 'iris', 'digits', 'diabetes', 'penguins']) {
    for (const returnProbability of [false, true]) {
      it(`${model} answers every row of its data set as scikit-learn does${returnProbability ? ', with probabilities' : ''}`, async () => {
        const { labels, rows } = await readExpected(model);
        const parameters = returnProbability ? { return_probability: true } : {};
        const predictions = await mapConcurrently(rows, concurrency, async ({ inputs }) =>
          predictionOf(await client.predictWith(model, inputs, parameters)),
        );
        const wrong = rows.flatMap((row, index) => {
          const pair = differences(labels, row, predictions[index] as PredictionBody);
          return pair.length === 0 ? [] : [{ index, pair }];
        });
        expect(wrong).to.deep.equal([]);
        expect(predictions).to.have.length(rows.length);
        expect(new Set(predictions.map(({ id }) => id))).to.have.property('size', rows.length);
        for (const prediction of predictions)
          expect('probabilities' in prediction).to.equal(returnProbability && labels !== null);
      });
    }
  }

  const features = {
    wine: ['alcohol', 'ash', 'flavanoids', 'hue', 'proline'],
    iris: ['sepal_length', 'sepal_width', 'petal_length', 'petal_width'],
    diabetes: ['age', 'sex', 'bmi', 'bp', 's1', 's2', 's3', 's4', 's5', 's6'],
  };
  for (const [model, names] of Object.entries(features)) {
    it(`${model} takes an object by feature name, in any order, for the array`, async () => {
      const { labels, rows } = await readExpected(model);
      await mapConcurrently(rows.slice(0, 32), concurrency, async (row) => {
        const pairs = names.map((name, index) => [name, (row.inputs as readonly number[])[index]] as const);
        const named = Object.fromEntries(pairs.toReversed());
        const prediction = predictionOf(await client.predictWith(model, named, { return_probability: true }));
        expect(differences(labels, row, prediction)).to.deep.equal([]);
      });
    });
  }

  it('digits takes its 64 pixels as one flat array too', async () => {
    const { rows } = await readExpected('digits');
    const [{ inputs, output }] = rows as [ExpectedRow];
    const flat = (inputs as number[][]).flat();
    expect(predictionOf(await client.predictWith('digits', flat)).output).to.equal(output);
  });

  it("answer the document's own example as it stands, with the document's fields and no others", async () => {
    const answer = await client.predict(exampleBody);
    expect(answer.status).to.equal(200);
    expect(Object.keys(answer.body)).to.deep.equal([
      'predictions',
      'model_version',
      'model_name',
      'processing_time_ms',
    ]);
    const prediction = predictionOf(answer);
    expect(answer.body.predictions).to.have.length(1);
    expect(Object.keys(prediction)).to.deep.equal(['id', 'output', 'probabilities', 'score']);
    expect(prediction.id).to.match(/^pred_\w+$/);
    expect(prediction.output).to.equal('class_1');
    expect(prediction.score).to.equal(prediction.probabilities?.[1]);
    expect(prediction.probabilities).to.have.length(3);
    expect(answer.body).to.include({ model_name: 'wine', model_version: 'v1.0.0' });
    expect(answer.body.processing_time_ms).to.be.a('number').above(0);
  });
});
