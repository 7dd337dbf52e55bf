import { expect } from 'chai';
import { parse } from 'csv-parse/sync';
import fc from 'fast-check';
import { compileRowWriter } from '../../../src/api/batch/results/row-writer.ts';
import { compileRenderer } from '../../../src/processing/render.ts';
import type { RenderChoice } from '../../../src/queues/batch/batch.ts';
import type { ChunkResult } from '../../../src/queues/batch/chunk.ts';
import type { ModelVersion } from '../../../src/registry/model-version.ts';
import type { NamedTensors, Tensor } from '../../../src/tensors/tensor.ts';
import { buildVersion, regressionVersion, spec, tensor, wineVersion } from '../../support/builders.ts';

const plain: RenderChoice = { returnProbability: false, topK: null, outputs: null };

interface Case {
  readonly version: ModelVersion;
  readonly render: RenderChoice;
  readonly tensors: Readonly<Record<string, Tensor>>;
  readonly columns: readonly string[];
  /** Cells of the first row, as a parser of CSV gives them. */
  readonly cells: readonly string[];
}

const label = tensor('INT32', [2], [2, 1]);
const probabilities = tensor('FP32', [2, 3], [0.2, 0.3, 0.5, 0.1, 0.7, 0.2]);
const lasting = tensor('FP32', [2, 3], [Number.NaN, 1 / 3, Number.POSITIVE_INFINITY, 0.1, 1e-20, 1e20]);
const quoted = buildVersion({
  manifest: { task: 'classification', labels: ['a "b"', 'c,d', 'e\nf'] },
  outputs: [spec('L', 'INT64', [-1]), spec('P', 'FP32', [-1, 3])],
});
const unlabelled = buildVersion({
  manifest: { task: 'classification' },
  outputs: [spec('L', 'INT64', [-1]), spec('P', 'FP32', [-1, 3])],
});
const severalOutputs = buildVersion({
  manifest: { task: 'tensor' },
  outputs: [spec('Y', 'FP32', [-1, 2]), spec('Z', 'INT64', [-1])],
});

const cases: Readonly<Record<string, Case>> = {
  'a classification': {
    version: wineVersion(),
    render: plain,
    tensors: { label, probabilities },
    columns: ['output', 'score'],
    cells: ['class_2', '0.5'],
  },
  'a classification with probabilities': {
    version: wineVersion(),
    render: { ...plain, returnProbability: true },
    tensors: { label, probabilities },
    columns: ['output', 'score', 'probability_class_0', 'probability_class_1', 'probability_class_2'],
    cells: ['class_2', '0.5', '0.2', '0.3', '0.5'],
  },
  'probabilities that are no numbers': {
    version: wineVersion(),
    render: { ...plain, returnProbability: true },
    tensors: { label, probabilities: lasting },
    columns: ['output', 'score', 'probability_class_0', 'probability_class_1', 'probability_class_2'],
    cells: ['class_2', 'Infinity', 'NaN', '0.33333334', 'Infinity'],
  },
  'a classification without probabilities': {
    version: wineVersion(),
    render: { ...plain, returnProbability: true },
    tensors: { label },
    columns: ['output', 'score', 'probability_class_0', 'probability_class_1', 'probability_class_2'],
    cells: ['class_2', '', '', '', ''],
  },
  'labels that need quotes': {
    version: quoted,
    render: { ...plain, returnProbability: true },
    tensors: { label, probabilities },
    columns: ['output', 'score', 'probability_a "b"', 'probability_c,d', 'probability_e\nf'],
    cells: ['e\nf', '0.5', '0.2', '0.3', '0.5'],
  },
  'the likeliest classes': {
    version: wineVersion(),
    render: { returnProbability: false, topK: 1, outputs: null },
    tensors: { label, probabilities },
    columns: ['output', 'score', 'top_k'],
    cells: ['class_2', '0.5', '[{"label":"class_2","score":0.5}]'],
  },
  'the likeliest classes with probabilities': {
    version: wineVersion(),
    render: { returnProbability: true, topK: 1, outputs: null },
    tensors: { label, probabilities },
    columns: [
      'output',
      'score',
      'probability_class_0',
      'probability_class_1',
      'probability_class_2',
      'top_k',
    ],
    cells: ['class_2', '0.5', '0.2', '0.3', '0.5', '[{"label":"class_2","score":0.5}]'],
  },
  'classes without labels': {
    version: unlabelled,
    render: { ...plain, returnProbability: true },
    tensors: { label: tensor('INT64', [2], [12n, 7n]), probabilities },
    columns: ['output', 'score', 'probabilities'],
    cells: ['12', '0.5', '[0.2,0.3,0.5]'],
  },
  'a regression': {
    version: regressionVersion(),
    render: plain,
    tensors: { value: tensor('FP32', [2, 1], [152.13, -0.5]) },
    columns: ['output'],
    cells: ['152.13'],
  },
  'a regression of several values': {
    version: regressionVersion(),
    render: plain,
    tensors: { value: tensor('FP64', [2, 2], [1.5, 2.5, 3.5, 4.5]) },
    columns: ['output'],
    cells: ['[1.5,2.5]'],
  },
  'several outputs': {
    version: severalOutputs,
    render: plain,
    tensors: { Y: tensor('FP32', [2, 2], [1, 2, 3, 4]), Z: tensor('INT64', [2], [2n ** 60n, 1n]) },
    columns: ['output.Y', 'output.Z'],
    cells: ['[1,2]', '1152921504606846976'],
  },
  'one output of several': {
    version: severalOutputs,
    render: { ...plain, outputs: ['Z'] },
    tensors: { Z: tensor('INT64', [2], [5n, 1n]) },
    columns: ['output'],
    cells: ['5'],
  },
};

function chunkOf(tensors: NamedTensors, over: Partial<ChunkResult> = {}): ChunkResult {
  return { firstRow: 7, rowCount: 2, ids: null, lines: null, failures: [], tensors, ...over };
}

describe('rows as text', () => {
  for (const [what, { version, render, tensors, columns, cells }] of Object.entries(cases)) {
    it(`say of ${what} in JSON what a prediction says`, () => {
      const result = new Map(Object.entries(tensors));
      const renderer = compileRenderer(version);
      const expected = [0, 1].map((row) => {
        const { id: _, ...members } = renderer(result, row, { id: '', ...render });
        return `${JSON.stringify({ row: 7 + row, id: null, ...members })}\n`;
      });
      const text = compileRowWriter(version, render, 'ndjson').write(chunkOf(result), 0, 2);
      expect(text).to.equal(expected.join(''));
    });

    it(`say of ${what} in CSV what its columns promise`, () => {
      const writer = compileRowWriter(version, render, 'csv');
      const text = writer.head + writer.write(chunkOf(new Map(Object.entries(tensors))), 0, 2);
      const [head, first] = parse(text) as string[][];
      expect(head).to.deep.equal(['row', 'id', ...columns, 'error_code', 'error_message', 'line']);
      expect(first).to.deep.equal(['7', '', ...cells, '', '', '']);
    });
  }

  it('find each row among those that failed, wherever they begin', () => {
    const rows = fc.integer({ min: 1, max: 40 });
    fc.assert(
      fc.property(rows, fc.infiniteStream(fc.boolean()), fc.nat(), fc.nat(), (rowCount, fails, a, b) => {
        const failed = Array.from({ length: rowCount }, () => fails.next().value === true);
        const good = failed.flatMap((each, row) => (each ? [] : [row]));
        const chunk = chunkOf(new Map([['value', tensor('FP32', [good.length], good)]]), {
          firstRow: 0,
          rowCount,
          failures: failed.flatMap((each, row) =>
            each ? [{ row, retryable: true, error: { code: 'timeout' as const, message: 'late' } }] : [],
          ),
        });
        const [from, to] = [a % (rowCount + 1), b % (rowCount + 1)].toSorted((x, y) => x - y) as [
          number,
          number,
        ];
        const text = compileRowWriter(regressionVersion(), plain, 'ndjson').write(chunk, from, to);
        const seen = text
          .split('\n')
          .slice(0, -1)
          .map((line) => JSON.parse(line) as { row: number; output?: number });
        expect(seen.map(({ row }) => row)).to.deep.equal(
          Array.from({ length: to - from }, (_, i) => from + i),
        );
        for (const { row, output } of seen) expect(output).to.equal(failed[row] ? undefined : row);
      }),
    );
  });

  it('read back from CSV whatever ids and messages hold', () => {
    const text = fc.string({ unit: fc.constantFrom('"', ',', '\r', '\n', ' ', '=', 'a', 'ü', '😀') });
    const writer = compileRowWriter(regressionVersion(), plain, 'csv');
    fc.assert(
      fc.property(text, text, (id, message) => {
        const chunk = chunkOf(new Map(), {
          rowCount: 1,
          ids: [id],
          failures: [{ row: 0, retryable: false, error: { code: 'invalid_input', message } }],
        });
        const [, row] = parse(writer.head + writer.write(chunk, 0, 1)) as string[][];
        expect(row).to.deep.equal(['7', id, '', 'invalid_input', message, '']);
      }),
    );
  });
});
