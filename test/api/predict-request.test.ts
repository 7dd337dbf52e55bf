import { expect } from 'chai';
import { createPredictParser } from '../../src/api/predict-request.ts';
import { placesOf } from '../support/refusals.ts';

describe('predict request', () => {
  const parse = createPredictParser(60_000);

  it('takes inputs alone', () => {
    expect(parse({ inputs: null })).to.deep.equal({ inputs: null, parameters: {} });
  });

  it('takes every parameter', () => {
    const parameters = {
      model: 'wine',
      version: 'v1',
      return_probability: true,
      top_k: 3,
      timeout_ms: 60_000,
      cache: false,
      outputs: ['a', 'b'],
    };
    expect(parse({ parameters, inputs: [1] })).to.deep.equal({ inputs: [1], parameters });
  });

  it('follows the longest deadline that the server allows', () => {
    expect(
      placesOf(() => createPredictParser(100)({ inputs: 1, parameters: { timeout_ms: 101 } })),
    ).to.have.length(1);
  });
});
