import { expect } from 'chai';
import { exampleBody } from '../../src/dev/readiness.ts';
import { useStack } from '../support/stack.ts';
import { Client, mapConcurrently, predictionOf } from './client.ts';
import type { PredictionBody } from './client.ts';
import { differences, readExpected } from './expected.ts';
import type { ExpectedRow } from './expected.ts';

const concurrency = 32;

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
