import type { OutputFacts } from '../../../processing/postprocess/compile.ts';
import type { Prediction } from '../../../processing/render.ts';
import { resultOutputs } from '../../../processing/result-outputs.ts';
import type { RenderChoice } from '../../../queues/batch/batch.ts';
import type { Label } from '../../../registry/model-version.ts';
import type { JsonValue } from '../../../tensors/json-unpacker.ts';
import { compileGeneric, numberText, topKOf } from './row-text.ts';
import type { RowTextOf } from './row-text.ts';

/** What a row of CSV says of a result: the names of its columns, and their text by row of the tensors. */
export interface CsvCells {
  readonly columns: readonly string[];
  readonly cells: RowTextOf;
}

/**
 * Classifications have `output`, `score` and, where they were asked for, a column for the probability of each label
 * and one for `top_k`; several outputs have a column each. What is no single value stands as JSON in its cell.
 */
export function compileCells(facts: OutputFacts, render: RenderChoice): CsvCells {
  const { labels, roles } = facts;
  if (render.outputs !== null) return outputCells(facts, render, render.outputs);
  if (roles.task === 'tensor')
    return outputCells(
      facts,
      render,
      resultOutputs(facts).map(({ name }) => name),
    );
  if (roles.task === 'regression') return outputCells(facts, render, []);
  const columns = ['output', 'score'];
  if (render.returnProbability) columns.push(...probabilityColumns(labels));
  if (labels !== null && topKOf(facts, render) === null)
    return { columns, cells: labelledCells(labels, render.returnProbability) };
  const listed = topKOf(facts, render) !== null;
  if (listed) columns.push('top_k');
  const generic = compileGeneric(facts, render);
  return {
    columns,
    cells: (tensors) => {
      const prediction = generic(tensors);
      return (row) => classCells(prediction(row), columns, labels);
    },
  };
}

function probabilityColumns(labels: readonly Label[] | null): readonly string[] {
  return labels === null ? ['probabilities'] : labels.map((label) => `probability_${label}`);
}

function labelledCells(labels: readonly Label[], listed: boolean): RowTextOf {
  const outputs = labels.map(cellOf);
  const without = listed ? ','.repeat(labels.length + 1) : ',';
  return (tensors) => {
    const label = tensors.get('label')?.data ?? [];
    const probabilities = tensors.get('probabilities');
    if (probabilities === undefined) return (row) => `${outputs[Number(label[row])] as string}${without}`;
    const classCount = probabilities.shape[1] as number;
    const text = unquoted(numberText(probabilities));
    return (row) => {
      const index = label[row] as number;
      const from = row * classCount;
      let cells = `${outputs[index] as string},${text(from + index)}`;
      if (listed) for (let i = 0; i < classCount; i++) cells += `,${text(from + i)}`;
      return cells;
    };
  };
}

/** Numbers as they are; NaN and infinities without the quotes that JSON needs. */
function unquoted(text: (index: number) => string): (index: number) => string {
  return (index) => {
    const json = text(index);
    return json.startsWith('"') ? json.slice(1, -1) : json;
  };
}

function classCells(
  { output, score, probabilities, top_k }: Prediction,
  columns: readonly string[],
  labels: readonly Label[] | null,
): string {
  const each = labels !== null && Array.isArray(probabilities) ? (probabilities as JsonValue[]) : null;
  let index = 0;
  return columns
    .map((column) => {
      if (column === 'output') return cellOf(output);
      if (column === 'score') return cellOf(score);
      if (column === 'top_k') return cellOf(top_k);
      return cellOf(each === null ? probabilities : each[index++]);
    })
    .join(',');
}

function outputCells(facts: OutputFacts, render: RenderChoice, names: readonly string[]): CsvCells {
  const several = names.length > 1;
  const generic = compileGeneric(facts, render);
  return {
    columns: several ? names.map((name) => `output.${name}`) : ['output'],
    cells: (tensors) => {
      const prediction = generic(tensors);
      return (row) => {
        const { output } = prediction(row);
        if (!several) return cellOf(output);
        return names.map((name) => cellOf((output as Record<string, JsonValue>)[name])).join(',');
      };
    },
  };
}

/** As RFC 4180 quotes. Nothing for nothing. */
export function cellOf(value: string | number | boolean | object | null | undefined): string {
  if (value === undefined || value === null) return '';
  const text = typeof value === 'object' ? JSON.stringify(value) : String(value);
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
