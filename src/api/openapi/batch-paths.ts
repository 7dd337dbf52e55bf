import type { ErrorCode } from '../../errors.ts';
import { batchPage } from '../http/batch-routes.ts';
import { resultPage } from '../limits.ts';
import { csvRows, exampleBatchId, failedBatch, rows, runningBatch } from './batch-examples.ts';
import { authenticatedCall, failures, headerRef } from './errors.ts';
import { idempotencyKey } from './idempotency.ts';
import { schemaRef, textOf } from './types.ts';
import type { Header, MediaType, Operation, Parameter, PathItem, Response } from './types.ts';

export const batchIdParameter: Parameter = {
  name: 'id',
  in: 'path',
  required: true,
  description: 'Id of the batch.',
  schema: { type: 'string', examples: [exampleBatchId] },
};

const requestId = { 'X-Request-Id': headerRef('X-Request-Id') };
export const locationHeader: Header = {
  description: 'Path of the batch.',
  schema: { type: 'string' },
};

export const preferenceApplied: Readonly<Record<string, Header>> = {
  'Preference-Applied': { description: 'What of Prefer was heeded.', schema: { type: 'string' } },
};

/** An answer that is the batch object. */
export function batchAnswer(description: string, headers: Readonly<Record<string, Header>> = {}): Response {
  return {
    description,
    headers: { ...requestId, ...headers },
    content: {
      'application/json': {
        schema: schemaRef('Batch'),
        examples: { running: { value: runningBatch }, failed: { value: failedBatch } },
      },
    },
  };
}

interface Described {
  readonly operationId: string;
  readonly summary: string;
  readonly description?: string;
  readonly parameters?: readonly Parameter[];
  readonly responses: Operation['responses'];
  readonly codes?: readonly ErrorCode[];
}

function operation({ codes = ['not_found'], responses, ...described }: Described): Operation {
  return {
    ...described,
    tags: ['batch'],
    security: [{ apiKey: ['batch'] }],
    responses: { ...responses, ...failures(...authenticatedCall, ...codes) },
  };
}

export function pageParameters(bounds: { readonly default: number; readonly max: number }): Parameter[] {
  return [
    {
      name: 'limit',
      in: 'query',
      description: 'Entries of a page.',
      schema: { type: 'integer', minimum: 1, maximum: bounds.max, default: bounds.default },
    },
    {
      name: 'cursor',
      in: 'query',
      description: 'next_cursor of the page before.',
      schema: { type: 'string' },
    },
  ];
}

const list = operation({
  operationId: 'listBatches',
  summary: 'Your batches, the newest first, in pages; all of them for an admin',
  parameters: pageParameters(batchPage),
  responses: {
    200: {
      description: 'A page.',
      headers: requestId,
      content: {
        'application/json': {
          schema: schemaRef('BatchList'),
          examples: {
            page: { value: { batches: [runningBatch], next_cursor: null, links: { next: null } } },
          },
        },
      },
    },
  },
  codes: [],
});

const show = operation({
  operationId: 'getBatch',
  summary: 'A batch: status, counts, progress',
  parameters: [
    {
      name: 'If-None-Match',
      in: 'header',
      description: 'ETag of the answer that the caller has: 304 while the batch has not changed.',
      schema: { type: 'string' },
    },
  ],
  responses: {
    200: batchAnswer('The batch as it is.', { ETag: { description: 'Weak.', schema: { type: 'string' } } }),
    304: { description: 'The batch has not changed.' },
  },
});

const cancel = operation({
  operationId: 'cancelBatch',
  summary: 'Cancel: what has not begun is not run',
  description: 'Rows that are done stay readable. Of a batch that has ended already nothing changes.',
  responses: { 200: batchAnswer('It had ended before.'), 202: batchAnswer('It is cancelled.') },
});

function control(operationId: string, summary: string): Operation {
  return operation({
    operationId,
    summary,
    responses: { 200: batchAnswer('The batch as it is now.') },
    codes: ['not_found', 'conflict'],
  });
}

const retry = operation({
  operationId: 'retryBatch',
  summary: 'Run the failed rows of an ended batch again, as a new batch',
  description:
    'Rows that were refused for their input are not among them. Rows keep their ids; where there was none, the number of the row in this batch becomes it.',
  parameters: [idempotencyKey],
  responses: { 202: batchAnswer('The new batch.', { Location: locationHeader }) },
  codes: ['not_found', 'conflict'],
});

const resultQuery: readonly Parameter[] = [
  {
    name: 'from',
    in: 'query',
    description: 'Row to begin with.',
    schema: { type: 'integer', minimum: 0, default: 0 },
  },
  {
    name: 'limit',
    in: 'query',
    description: `Rows at most; of a page ${resultPage.default} unless given, at most ${resultPage.max}.`,
    schema: { type: 'integer', minimum: 1 },
  },
  {
    name: 'cursor',
    in: 'query',
    description: 'next_cursor of the page before, in place of from.',
    schema: { type: 'string' },
  },
  {
    name: 'follow',
    in: 'query',
    description:
      'true: NDJSON and CSV go on until the batch has ended, not only up to the first unfinished row.',
    schema: { type: 'boolean', default: false },
  },
];

const resultBodies: Readonly<Record<string, MediaType>> = {
  'application/json': {
    schema: schemaRef('BatchPage'),
    examples: {
      page: {
        value: {
          status: 'completed',
          model_name: 'wine',
          model_version: 'v1.2.3',
          predictions: rows,
          next_cursor: null,
        },
      },
    },
  },
  'application/x-ndjson': {
    schema: textOf('A BatchRow on each line.'),
    examples: { rows: { value: rows.map((row) => `${JSON.stringify(row)}\n`).join('') } },
  },
  'text/csv': {
    schema: textOf(
      'RFC 4180: row, id, the outputs (output and score of a classification, then probability_<label> where asked for), error_code, error_message, line. Cells are as the model gave them: nothing is put before those that a spreadsheet would take for formulas.',
    ),
    examples: { rows: { value: csvRows } },
  },
};

const results = operation({
  operationId: 'getBatchResults',
  summary: 'Results in input order: pages of JSON, or NDJSON or CSV as a stream',
  description:
    'While the batch runs they end at the first row that is not done. Of a batch that was cancelled or failed, rows that never ran are left out. A stream whose connection is cut is not whole.',
  parameters: resultQuery,
  responses: {
    200: {
      description: 'Rows.',
      headers: {
        ...requestId,
        'X-Batch-Status': {
          description: 'Of the batch when the answer began; running and queued: there may be more later.',
          schema: { type: 'string' },
        },
      },
      content: resultBodies,
    },
  },
  codes: ['not_found', 'bad_gateway'],
});

const events = operation({
  operationId: 'watchBatch',
  summary: 'What becomes of the batch, as server-sent events',
  description:
    'progress after each change, at most four a second; then once completed, failed or cancelled, and the stream ends. The data of each is the batch object, its id the revision of the batch.',
  parameters: [
    {
      name: 'Last-Event-ID',
      in: 'header',
      description: 'id of the last event that the client has: it gets newer ones.',
      schema: { type: 'string' },
    },
  ],
  responses: {
    200: {
      description: 'Events.',
      headers: requestId,
      content: {
        'text/event-stream': {
          schema: textOf('WHATWG HTML, server-sent events.'),
          examples: {
            progress: {
              value: `retry: 1000\n\nid: 7\nevent: progress\ndata: ${JSON.stringify(runningBatch)}\n\n`,
            },
          },
        },
      },
    },
    204: { description: 'The client has the last event already: there will be no more.' },
  },
});

export const batchPaths: Readonly<Record<string, PathItem>> = {
  '/api/v1/batch/{id}': { parameters: [batchIdParameter], get: show, delete: cancel },
  '/api/v1/batch/{id}/pause': {
    parameters: [batchIdParameter],
    post: control('pauseBatch', 'Let nothing of the batch begin until it is resumed'),
  },
  '/api/v1/batch/{id}/resume': {
    parameters: [batchIdParameter],
    post: control('resumeBatch', 'Let a paused batch go on'),
  },
  '/api/v1/batch/{id}/retry': { parameters: [batchIdParameter], post: retry },
  '/api/v1/batch/{id}/results': { parameters: [batchIdParameter], get: results },
  '/api/v1/batch/{id}/events': { parameters: [batchIdParameter], get: events },
};

/** GET of the path that a batch is POSTed to. */
export const listBatches: Operation = list;
