import type { SchemaObject } from '../../validation.ts';
import { authenticatedCall, failures, headerRef } from './errors.ts';
import { objectOf, schemaRef } from './types.ts';
import type { PathItem } from './types.ts';

function amount(description: string): SchemaObject {
  return { type: 'integer', minimum: 0, description };
}

function amountOrNone(description: string): SchemaObject {
  return { type: ['integer', 'null'], minimum: 0, description: `${description} Null: any number.` };
}

export const limitsSchemas: Readonly<Record<string, SchemaObject>> = {
  Limits: objectOf({
    requests: objectOf({
      default_per_minute: amountOrNone('Calls of this key in any 60 seconds.'),
      sensitive_per_minute: amountOrNone('Of those that need models:write or admin.'),
      header_bytes_max: amount('Request line and header fields together.'),
      header_count_max: amount('Header fields.'),
      headers_timeout_ms: amount('For the head of a request to arrive.'),
      request_timeout_ms: amount('For all of it to arrive, but for uploads of batches.'),
      keep_alive_timeout_ms: amount('For the next request on a connection.'),
    }),
    predict: objectOf({
      body_bytes_max: amount('Of a body.'),
      json_depth_max: amount('Brackets within brackets.'),
      timeout_ms: amount('Deadline of a request that names none, unless the model has its own.'),
      timeout_ms_max: amount('The longest that a request may ask for.'),
      top_k_max: amount('Classes that are listed.'),
      output_count_max: amount('Outputs that are named.'),
    }),
    batch: objectOf({
      open: amount('Batches of this key that have not ended.'),
      open_max: amount('So many there may be at once.'),
      rows_max: amount('Rows of a batch.'),
      body_bytes_max: amount('Of an upload, expanded.'),
      line_bytes_max: amount('Of a line, a record of CSV, or an instance of JSON.'),
      row_id_chars_max: amount('Of an id of your own.'),
      wait_ms: amount('How long a JSON body waits for its predictions unless Prefer says otherwise.'),
      wait_ms_max: amount('The longest that Prefer may ask for.'),
      upload_idle_ms: amount('Time in which nothing of an upload arrives, after which it has broken off.'),
      upload_bytes_per_s_min: amount('An upload that is slower for long has broken off.'),
      retention_ms: amount('How long a batch and its results are kept once it has ended.'),
      result_page_rows_max: amount('Rows of a page of results.'),
      result_pages_max: amount('Pages of results of this key that are being sent at once, by each process.'),
      result_streams_max: amount('Streams of results of this key at once, by each process.'),
      event_streams_max: amount('Streams of events of this key at once, by each process.'),
    }),
  }),
};

export const limitsPaths: Readonly<Record<string, PathItem>> = {
  '/api/v1/limits': {
    get: {
      operationId: 'getLimits',
      tags: ['limits'],
      summary: 'Every limit that your key can meet',
      security: [{ apiKey: [] }],
      responses: {
        200: {
          description: 'The limits as they are now.',
          headers: { 'X-Request-Id': headerRef('X-Request-Id') },
          content: { 'application/json': { schema: schemaRef('Limits') } },
        },
        ...failures(...authenticatedCall),
      },
    },
  },
};
