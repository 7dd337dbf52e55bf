import type { OutputFacts } from '../../../processing/postprocess/compile.ts';
import type { RenderChoice } from '../../../queues/batch/batch.ts';
import { lineOf } from '../../../queues/batch/chunk.ts';
import type { ChunkResult, RowFailure } from '../../../queues/batch/chunk.ts';
import { shownError } from '../../shown-error.ts';
import { cellOf, compileCells } from './csv-cells.ts';
import { compileMembers } from './row-text.ts';
import type { RowText } from './row-text.ts';

export type RowFormat = 'ndjson' | 'json' | 'csv';

/** Rows of a batch as text: `head`, then rows in order. */
export interface RowWriter {
  /** The header of CSV; else nothing. */
  readonly head: string;
  /** What each row begins with but the first of an answer must not: the comma of `json`. */
  readonly separator: string;
  /** Text of the rows `from` to `to` (within the chunk, `to` excluded). */
  write(chunk: ChunkResult, from: number, to: number): string;
}

/** How a row is put together. */
interface RowForm {
  success(chunk: ChunkResult, row: number, text: string): string;
  failure(chunk: ChunkResult, failure: RowFailure): string;
}

export function compileRowWriter(facts: OutputFacts, render: RenderChoice, format: RowFormat): RowWriter {
  if (format === 'csv') {
    const { columns, cells } = compileCells(facts, render);
    const head = ['row', 'id', ...columns, 'error_code', 'error_message', 'line'].map(cellOf).join(',');
    const form = csvForm(columns.length);
    return { head: `${head}\r\n`, separator: '', write: rowsIn(form, perChunk(cells)) };
  }
  const separator = format === 'json' ? ',' : '';
  const form = jsonForm(separator, format === 'json' ? '' : '\n');
  return { head: '', separator, write: rowsIn(form, perChunk(compileMembers(facts, render))) };
}

/** The rows as a prediction answers them: with an id for each, whether the caller gave one or not. */
export function compileDocumentWriter(facts: OutputFacts, render: RenderChoice, batchId: string): RowWriter {
  const prefix = batchId.replace(/^batch_/, 'pred_');
  const idOf = ({ ids, firstRow }: ChunkResult, row: number): string => {
    const id = ids?.[row] ?? null;
    return id === null ? `"${prefix}_${firstRow + row}"` : JSON.stringify(id);
  };
  const form: RowForm = {
    success: (chunk, row, text) => `,{"id":${idOf(chunk, row)},${text}}`,
    failure: (chunk, { row, error }) =>
      `,{"id":${idOf(chunk, row)},"error":${JSON.stringify(shownError(error))}}`,
  };
  return { head: '', separator: ',', write: rowsIn(form, perChunk(compileMembers(facts, render))) };
}

/** A chunk is written in several steps, one after the other: what belongs to its tensors is made once. */
function perChunk(textOf: (tensors: ChunkResult['tensors']) => RowText): (chunk: ChunkResult) => RowText {
  let current: ChunkResult | undefined;
  let text: RowText = () => '';
  return (chunk) => {
    if (chunk !== current) {
      current = chunk;
      text = textOf(chunk.tensors);
    }
    return text;
  };
}

/** The tensors hold the rows that did not fail: a row stands in them as many places earlier as failed before it. */
function rowsIn(form: RowForm, textOf: (chunk: ChunkResult) => RowText): RowWriter['write'] {
  return (chunk, from, to) => {
    const { failures } = chunk;
    const textAt = failures.length === chunk.rowCount ? null : textOf(chunk);
    let failed = failuresBefore(failures, from);
    let next = failures[failed]?.row ?? Number.POSITIVE_INFINITY;
    let text = '';
    for (let row = from; row < to; row++) {
      if (row < next) {
        text += form.success(chunk, row, (textAt as RowText)(row - failed));
        continue;
      }
      text += form.failure(chunk, failures[failed] as RowFailure);
      failed += 1;
      next = failures[failed]?.row ?? Number.POSITIVE_INFINITY;
    }
    return text;
  };
}

/** By halves: a chunk may have failed altogether. */
function failuresBefore(failures: readonly RowFailure[], row: number): number {
  let low = 0;
  let high = failures.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((failures[middle] as RowFailure).row < row) low = middle + 1;
    else high = middle;
  }
  return low;
}

function jsonForm(before: string, after: string): RowForm {
  const idOf = ({ ids }: ChunkResult, row: number): string => {
    const id = ids?.[row] ?? null;
    return id === null ? 'null' : JSON.stringify(id);
  };
  return {
    success: (chunk, row, text) =>
      `${before}{"row":${chunk.firstRow + row},"id":${idOf(chunk, row)},${text}}${after}`,
    failure: (chunk, { row, error }) => {
      const line = lineOf(chunk, row);
      const at = line === null ? '' : `"line":${line},`;
      const shown = JSON.stringify(shownError(error));
      return `${before}{"row":${chunk.firstRow + row},"id":${idOf(chunk, row)},${at}"error":${shown}}${after}`;
    },
  };
}

function csvForm(columnCount: number): RowForm {
  const nothing = ','.repeat(columnCount);
  return {
    success: (chunk, row, text) => `${chunk.firstRow + row},${cellOf(chunk.ids?.[row])},${text},,,\r\n`,
    failure: (chunk, { row, error }) => {
      const { code, message } = shownError(error);
      const cells = `${code},${cellOf(message)},${cellOf(lineOf(chunk, row))}`;
      return `${chunk.firstRow + row},${cellOf(chunk.ids?.[row])},${nothing}${cells}\r\n`;
    },
  };
}
