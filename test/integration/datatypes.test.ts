import { expect } from 'chai';
import { useStack } from '../support/stack.ts';
import { Client, outputOf, predictionOf } from './client.ts';
import { fixtureModels } from './fixture-models.ts';

/** Three elements that go to identity-<datatype>, and what comes back where that is written otherwise. */
interface RoundTrip {
  readonly datatype: string;
  readonly what: string;
  readonly sent: readonly unknown[];
  readonly returned?: readonly unknown[];
}

const float32Max = (2 - 2 ** -23) * 2 ** 127;
const float32Least = 2 ** -149;

const roundTrips: readonly RoundTrip[] = [
  {
    datatype: 'float32',
    what: 'plain numbers',
    sent: [0.1, -2.5, 16777217],
    returned: [0.1, -2.5, 16777216],
  },
  { datatype: 'float32', what: 'its extremes', sent: [float32Max, -float32Max, float32Least] },
  { datatype: 'float32', what: 'what JSON cannot say', sent: ['NaN', 'Infinity', '-Infinity'] },
  { datatype: 'float64', what: 'plain numbers', sent: [0.1, -1 / 3, Math.PI] },
  {
    datatype: 'float64',
    what: 'its extremes',
    sent: [Number.MAX_VALUE, -Number.MAX_VALUE, Number.MIN_VALUE],
  },
  { datatype: 'float64', what: 'what JSON cannot say', sent: ['NaN', 'Infinity', '-Infinity'] },
  { datatype: 'float16', what: 'plain numbers', sent: [0.5, -2, 1000] },
  {
    datatype: 'float16',
    what: 'its extremes',
    sent: [65504, -65504, 2 ** -24],
    // The shortest text that is the same float32.
    returned: [65504, -65504, 5.9604645e-8],
  },
  {
    datatype: 'float16',
    what: 'numbers between two of its own',
    sent: [0.1, 2049, 0],
    returned: [0.099975586, 2048, 0],
  },
  { datatype: 'float16', what: 'what JSON cannot say', sent: ['NaN', 'Infinity', '-Infinity'] },
  { datatype: 'int8', what: 'its extremes', sent: [-128, 127, 0] },
  { datatype: 'int16', what: 'its extremes', sent: [-32768, 32767, 0] },
  { datatype: 'int32', what: 'its extremes', sent: [-2147483648, 2147483647, 0] },
  { datatype: 'uint8', what: 'its extremes', sent: [0, 255, 1] },
  { datatype: 'uint16', what: 'its extremes', sent: [0, 65535, 1] },
  { datatype: 'uint32', what: 'its extremes', sent: [0, 4294967295, 1] },
  { datatype: 'int64', what: 'what a double holds, as numbers', sent: [0, 2 ** 53 - 1, -(2 ** 53 - 1)] },
  {
    datatype: 'int64',
    what: 'its extremes, as strings',
    sent: ['-9223372036854775808', '9223372036854775807', '9007199254740993'],
  },
  {
    datatype: 'int64',
    what: 'small numbers given as strings',
    sent: ['0', '-7', '42'],
    returned: [0, -7, 42],
  },
  {
    datatype: 'uint64',
    what: 'its extremes, as strings',
    sent: ['18446744073709551615', '9223372036854775808', 0],
  },
  { datatype: 'bool', what: 'both', sent: [true, false, true] },
  { datatype: 'bool', what: 'ones and zeros', sent: [1, 0, 1], returned: [true, false, true] },
  { datatype: 'string', what: 'any script', sent: ['grüß Gott', '日本語', '🙂👩‍👩‍👧'] },
  { datatype: 'string', what: 'what needs escapes', sent: ['', '"\\\n\u2028', 'a\tb'] },
];

const others = [
  'two-in-two-out',
  'dynamic-inner',
  'rank-3',
  'scalar-per-row',
  'fixed-batch-1',
  'fixed-batch-4',
  'no-batch',
  'no-batch-reduce',
  'scalar',
  'zipmap-int64',
  'zipmap-string',
];
const identities = new Set(roundTrips.map(({ datatype }) => `identity-${datatype}`));

describe('tensors through HTTP', () => {
  const stack = useStack({ models: fixtureModels(...identities, ...others) });
  let client: Client;
  before(() => (client = new Client(stack())));
  after(() => client.close());

  async function ask(model: string, inputs: unknown, parameters: object = {}) {
    return outputOf(await client.predictWith(model, inputs, parameters));
  }

  describe('every datatype', () => {
    it('of ONNX that can be carried is among the cases', () => {
      expect(identities).to.have.property('size', 13);
    });

    for (const { datatype, what, sent, returned } of roundTrips) {
      it(`${datatype}: ${what}`, async () => {
        expect(await ask(`identity-${datatype}`, sent)).to.deep.equal(returned ?? sent);
      });
    }

    // JSON.stringify writes -0 as 0, so a client that wants to send it writes the text itself.
    it('takes -0 and says 0', async () => {
      for (const datatype of ['float32', 'float64', 'float16']) {
        const answer = await client.predict('{"inputs":[-0,-0.0,0]}', {
          path: `/api/v1/models/identity-${datatype}/predict`,
        });
        expect(outputOf(answer)).to.deep.equal([0, 0, 0]);
      }
    });

    it('reads integers beyond 2^53 exactly from plain JSON numbers', async () => {
      const cases = [
        ['int64', '[-9223372036854775808,9223372036854775807,9007199254740993]'],
        ['uint64', '[18446744073709551615,9007199254740993,9223372036854775808]'],
      ] as const;
      for (const [datatype, text] of cases) {
        const answer = await client.predict(`{"inputs":${text}}`, {
          path: `/api/v1/models/identity-${datatype}/predict`,
        });
        expect(outputOf(answer)).to.deep.equal(text.slice(1, -1).split(','));
      }
    });

    it('refuses what is just out of range, and names the place', async () => {
      const cases = [
        ['int8', 128],
        ['uint8', -1],
        ['int16', 32768],
        ['uint16', 65536],
        ['int32', 2147483648],
        ['uint32', 4294967296],
        ['int64', '9223372036854775808'],
        ['uint64', '18446744073709551616'],
        ['float32', 3.5e38],
        ['float16', 65520],
        ['bool', 2],
        ['string', 5],
      ] as const;
      for (const [datatype, value] of cases) {
        const good = datatype === 'string' ? '' : 0;
        const { status, body } = await client.predictWith(`identity-${datatype}`, [good, value, good]);
        expect([datatype, status, body.error.code]).to.deep.equal([datatype, 400, 'invalid_input']);
        expect(body.error.details?.[0]).to.have.property('path', 'inputs[1]');
      }
    });
  });

  describe('every shape', () => {
    it('two inputs and two outputs, by name', async () => {
      expect(await ask('two-in-two-out', { a: [1.5, -2], b: [10] })).to.deep.equal({
        sum: [11.5, 8],
        twice: [20],
      });
    });

    it('only the outputs that are asked for', async () => {
      const inputs = { b: [10], a: [1.5, -2] };
      expect(await ask('two-in-two-out', inputs, { outputs: ['twice'] })).to.deep.equal([20]);
      expect(await ask('two-in-two-out', inputs, { outputs: ['twice', 'sum'] })).to.deep.equal({
        twice: [20],
        sum: [11.5, 8],
      });
      const { status, body } = await client.predictWith('two-in-two-out', inputs, { outputs: ['sums'] });
      expect([status, body.error.code]).to.deep.equal([400, 'invalid_input']);
    });

    it('a dynamic inner dimension, of several lengths at once', async () => {
      const rows = [[1], [1, 2], [1, 2, 3], [4], [4, 5], Array.from({ length: 1000 }, (_, i) => i)];
      const outputs = await Promise.all(rows.map((row) => ask('dynamic-inner', row)));
      expect(outputs).to.deep.equal(rows);
    });

    it('nested instances, and the same ones flat', async () => {
      const nested = [
        [1, 2, 3],
        [4, 5, 6],
      ];
      expect(await ask('rank-3', nested)).to.deep.equal(nested);
      expect(await ask('rank-3', nested.flat())).to.deep.equal(nested);
    });

    it('one number a row', async () => {
      expect(await ask('scalar-per-row', 7.25)).to.equal(7.25);
    });

    for (const model of ['fixed-batch-1', 'fixed-batch-4']) {
      it(`a fixed batch axis: ten instances at once on ${model}`, async () => {
        const rows = Array.from({ length: 10 }, (_, i) => [i, i + 0.5, -i - 1]);
        const outputs = await Promise.all(rows.map((row) => ask(model, row)));
        expect(outputs).to.deep.equal(rows.map((row) => row.map((x) => 2 * x)));
      });
    }

    it('an instance that is the whole input', async () => {
      const identity = [0, 1, 2, 3].map((i) => [0, 1, 2, 3].map((j) => Number(i === j)));
      const doubled = identity.map((row) => row.map((x) => 2 * x));
      const [one, four] = await Promise.all([ask('no-batch', identity), ask('no-batch', doubled)]);
      expect(one).to.deep.equal(identity);
      expect(four).to.deep.equal(identity.map((row) => row.map((x) => 4 * x)));
      const counted = Array.from({ length: 16 }, (_, i) => i - 3);
      expect(await ask('no-batch-reduce', counted)).to.deep.equal([-3, 12]);
    });

    it('rank 0', async () => {
      expect(await Promise.all([ask('scalar', 2.5), ask('scalar', -1)])).to.deep.equal([5, -2]);
    });
  });

  describe("scikit-learn's default export", () => {
    for (const [model, labels] of [
      ['zipmap-int64', [3, 7, 11]],
      ['zipmap-string', ['high', 'low', 'mid']],
    ] as const) {
      it(`${model} answers with its classes and their probabilities`, async () => {
        const parameters = { return_probability: true, top_k: 2 };
        const {
          output,
          probabilities = [],
          score,
          top_k = [],
        } = predictionOf(await client.predictWith(model, [0.5, -1], parameters));
        expect(probabilities).to.have.length(3);
        expect(probabilities.reduce((sum, p) => sum + p)).to.be.closeTo(1, 1e-5);
        expect(score).to.equal(Math.max(...probabilities));
        expect(output).to.equal(labels[probabilities.indexOf(score as number)]);
        expect(top_k).to.have.length(2);
        expect(top_k[0]).to.deep.equal({ label: output, score });
        expect(top_k[1]).to.have.property('score', probabilities.toSorted((a, b) => b - a)[1]);
      });
    }
  });
});
