import type { SchemaObject } from '../../validation.ts';
import { batchParametersSchema } from '../batch/batch-parameters.ts';
import { arrayOf, objectOf, schemaRef, textOf } from './types.ts';

const instant: SchemaObject = { type: 'string', description: 'RFC 3339, UTC.' };
const instantOrNull = (description: string): SchemaObject => ({
  type: ['string', 'null'],
  description,
});
const textOrNull = (description: string): SchemaObject => ({ type: ['string', 'null'], description });
const count = (description: string): SchemaObject => ({ type: 'integer', minimum: 0, description });
const json: SchemaObject = {
  description: 'A number, a string, a boolean, or an array of these. NaN and infinities are strings.',
  type: ['number', 'string', 'boolean', 'array'],
};

const batch: SchemaObject = objectOf(
  {
    id: textOf('Sorts by the time at which it was submitted.'),
    status: {
      type: 'string',
      enum: ['queued', 'running', 'completed', 'failed', 'cancelled'],
      description: 'queued until the first row runs; nothing leads out of the last three.',
    },
    paused: { type: 'boolean', description: 'Whether nothing of it begins until it is resumed.' },
    model_name: textOf('Model of all rows.'),
    model_version: textOf('Version of all rows, resolved once.'),
    counts: objectOf({
      total: { type: ['integer', 'null'], minimum: 0, description: 'Rows; null while they still arrive.' },
      succeeded: count('Rows with an output.'),
      failed: count('Rows with an error.'),
    }),
    progress: {
      type: 'number',
      minimum: 0,
      maximum: 1,
      description: 'Share of the rows that are done; 0 while their number is not known. It never falls.',
    },
    eta_seconds: {
      type: ['integer', 'null'],
      minimum: 0,
      description: 'Seconds to the end at the rate so far; null when unknown.',
    },
    created_at: instant,
    started_at: instantOrNull('When the first row began to run.'),
    finished_at: instantOrNull('When it came to its end.'),
    expires_at: instantOrNull('When it is forgotten, results and all; null until it has ended.'),
    error: {
      description: 'Why the batch as a whole failed.',
      anyOf: [schemaRef('RowError'), { type: 'null' }],
    },
    retry_of: textOrNull('The batch whose failed rows this one runs again.'),
    links: objectOf(
      {
        self: { type: 'string' },
        results: { type: 'string' },
        events: { type: 'string' },
        retry_of: { type: 'string' },
      },
      { optional: ['retry_of'] },
    ),
  },
  { description: 'A batch as it is now.' },
);

const row: SchemaObject = objectOf(
  {
    row: count('From 0.'),
    id: textOrNull("The caller's own; null where it gave none."),
    output: {
      description: 'A label, a number, a nested array, or an object by output name.',
      type: ['string', 'number', 'boolean', 'array', 'object'],
    },
    probabilities: { ...arrayOf(json), description: 'One for each class, in the order of the labels.' },
    score: { ...json, description: 'Probability of the output.' },
    top_k: arrayOf(objectOf({ label: json, score: json })),
    line: {
      type: 'integer',
      minimum: 1,
      description: 'Where the row stood; beside error, of bodies with lines.',
    },
    error: schemaRef('RowError'),
  },
  {
    optional: ['output', 'probabilities', 'score', 'top_k', 'line', 'error'],
    description: 'What came of a row: output, or error in place of it.',
  },
);

/** Bodies of batches. */
export const batchSchemas: Readonly<Record<string, SchemaObject>> = {
  BatchRequest: objectOf(
    {
      inputs: {
        type: 'array',
        description: 'Instances, each as predict takes it, or as { "id": "mine", "inputs": instance }.',
      },
      parameters: schemaRef('BatchParameters'),
      webhook: textOf('Where the batch is sent when it has ended.'),
    },
    { optional: ['parameters', 'webhook'] },
  ),
  BatchParameters: batchParametersSchema,
  RowError: objectOf({
    code: textOf('As in an error of a request.'),
    message: textOf('What went wrong, for people.'),
    details: {
      description: 'One sentence, the wrong places, or facts by name.',
      anyOf: [{ type: 'string' }, arrayOf(schemaRef('ErrorPlace')), { type: 'object' }, { type: 'null' }],
    },
  }),
  Batch: batch,
  BatchList: objectOf({
    batches: arrayOf(schemaRef('Batch')),
    next_cursor: textOrNull('For the next page; null on the last.'),
    links: objectOf({ next: textOrNull('The next page.') }),
  }),
  Batches: objectOf({ batches: arrayOf(schemaRef('Batch')) }),
  BatchDocument: objectOf({
    predictions: {
      ...arrayOf({ anyOf: [schemaRef('Prediction'), schemaRef('FailedPrediction')] }),
      description: 'One for each row, in input order.',
    },
    model_version: textOf('Version that answered.'),
    model_name: textOf('Model that answered.'),
    processing_time_ms: { type: 'number', minimum: 0 },
  }),
  FailedPrediction: objectOf({ id: textOf('As of a prediction.'), error: schemaRef('RowError') }),
  BatchRow: row,
  BatchPage: objectOf({
    status: textOf('Of the batch when the page was begun.'),
    model_name: textOf('Model that answered.'),
    model_version: textOf('Version that answered.'),
    predictions: arrayOf(schemaRef('BatchRow')),
    next_cursor: textOrNull(
      'For the next page, also while the rows behind this one are not done yet; null once there is nothing more.',
    ),
  }),
  DeadLetter: objectOf({
    id: { type: 'string' },
    batch_id: { type: 'string' },
    row: count('Of the batch, from 0.'),
    row_id: textOrNull("The caller's own id of the row."),
    line: { type: ['integer', 'null'], minimum: 1 },
    model_name: { type: 'string' },
    model_version: { type: 'string' },
    input_digest: textOf('SHA-256 of the packed row: equal inputs have equal digests.'),
    error: schemaRef('RowError'),
    attempts: count('Runs that were tried.'),
    failed_at: instant,
    links: objectOf({ batch: { type: 'string' }, replay: { type: 'string' } }),
  }),
  DeadLetterList: objectOf({
    dead_letters: arrayOf(schemaRef('DeadLetter')),
    next_cursor: textOrNull('For the next page; null on the last.'),
    links: objectOf({ next: textOrNull('The next page.') }),
  }),
};
