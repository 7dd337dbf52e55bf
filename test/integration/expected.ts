import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { packageRoot } from '../../src/dev/package-root.ts';
import type { PredictionBody } from './client.ts';

/** Written by examples/training: what the scikit-learn pipeline says of each row of its data set. */
export interface Expected {
  readonly model: string;
  readonly labels: readonly (string | number)[] | null;
  readonly rows: readonly ExpectedRow[];
}

export interface ExpectedRow {
  readonly inputs: unknown;
  readonly output: string | number;
  readonly probabilities?: readonly number[];
}

/** Of a probability, and for regressions of the number itself. */
const toleranceMax = 1e-5;

export async function readExpected(model: string): Promise<Expected> {
  return JSON.parse(await readFile(join(packageRoot, `test/data/${model}.json`), 'utf8')) as Expected;
}

/** What differs from scikit-learn: expected and found. Empty when nothing does. */
export function differences(
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
