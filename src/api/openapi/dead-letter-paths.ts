import { deadLetterPage } from '../http/dead-letter-routes.ts';
import { batchAnswer, locationHeader, pageParameters } from './batch-paths.ts';
import { runningBatch } from './batch-examples.ts';
import { authenticatedCall, failures, headerRef } from './errors.ts';
import { idempotencyKey } from './idempotency.ts';
import { schemaRef } from './types.ts';
import type { Operation, Parameter, PathItem, Response } from './types.ts';

const requestId = { 'X-Request-Id': headerRef('X-Request-Id') };

type Described = Pick<Operation, 'operationId' | 'summary' | 'description' | 'parameters' | 'responses'>;

function operation(described: Described): Operation {
  return {
    ...described,
    tags: ['dead letters'],
    security: [{ apiKey: ['admin'] }],
    responses: { ...described.responses, ...failures(...authenticatedCall) },
  };
}

const page: Response = {
  description: 'A page.',
  headers: requestId,
  content: {
    'application/json': {
      schema: schemaRef('DeadLetterList'),
      examples: {
        page: {
          value: {
            dead_letters: [
              {
                id: '01KB3J5X9E8Q2Z7N4M6P0R1S3V',
                batch_id: runningBatch.id,
                row: 17,
                row_id: 'mine-18',
                line: 18,
                model_name: 'wine',
                model_version: 'v1.2.3',
                input_digest: '9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08',
                error: { code: 'timeout', message: 'The run was too long', details: null },
                attempts: 3,
                failed_at: '2026-11-25T10:00:03.000Z',
                links: {
                  batch: runningBatch.links.self,
                  replay: '/api/v1/dead-letters/01KB3J5X9E8Q2Z7N4M6P0R1S3V/replay',
                },
              },
            ],
            next_cursor: null,
            links: { next: null },
          },
        },
      },
    },
  },
};

const letterId: Parameter = {
  name: 'id',
  in: 'path',
  required: true,
  description: 'Id of the dead letter.',
  schema: { type: 'string' },
};

const replayed =
  'Each makes a batch of the owner, version and choices of the batch that it comes from. Letters are removed once the new batch is safe.';

const replayAll = operation({
  operationId: 'replayDeadLetters',
  summary: 'Run all of them again, or those of a model or a batch',
  description: replayed,
  parameters: [
    { name: 'model', in: 'query', description: 'Only those of this model.', schema: { type: 'string' } },
    { name: 'batch', in: 'query', description: 'Only those of this batch.', schema: { type: 'string' } },
    idempotencyKey,
  ],
  responses: {
    202: {
      description: 'The new batches, one for each that the letters come from.',
      headers: requestId,
      content: { 'application/json': { schema: schemaRef('Batches') } },
    },
  },
});

const replayOne = operation({
  operationId: 'replayDeadLetter',
  summary: 'Run one of them again',
  description: replayed,
  parameters: [idempotencyKey],
  responses: {
    202: batchAnswer('The new batch.', { Location: locationHeader }),
    ...failures('not_found'),
  },
});

export const deadLetterPaths: Readonly<Record<string, PathItem>> = {
  '/api/v1/dead-letters': {
    get: operation({
      operationId: 'listDeadLetters',
      summary: 'Rows that all attempts failed on, the newest first, in pages',
      parameters: pageParameters(deadLetterPage),
      responses: { 200: page },
    }),
  },
  '/api/v1/dead-letters/replay': { post: replayAll },
  '/api/v1/dead-letters/{id}/replay': { parameters: [letterId], post: replayOne },
};
