import { batchParametersSchema, batchQuery } from '../batch/batch-parameters.ts';
import type { SchemaObject } from '../../validation.ts';
import { batchAnswer, listBatches, locationHeader, preferenceApplied } from './batch-paths.ts';
import { authenticatedCall, failures, headerRef } from './errors.ts';
import { idempotencyKey } from './idempotency.ts';
import { modelParameter, versionParameter } from './predict-paths.ts';
import { schemaRef, textOf } from './types.ts';
import type { MediaType, Operation, Parameter, PathItem, Response } from './types.ts';

const properties = batchParametersSchema['properties'] as Readonly<Record<string, SchemaObject>>;

/** Of streamed bodies; a JSON body has them in itself. */
const streamedParameters: readonly Parameter[] = batchQuery.map((name) => {
  if (name === 'webhook')
    return {
      name,
      in: 'query',
      description: 'Streamed bodies: where the batch is sent when it has ended.',
      schema: { type: 'string' },
    };
  const { description, ...schema } = properties[name] as { description: string };
  // Several values of one parameter are separated by commas.
  const style = name === 'outputs' ? ' Separated by commas.' : '';
  return { name, in: 'query', description: `Streamed bodies: ${description}${style}`, schema };
});

const preferences: Parameter = {
  name: 'Prefer',
  in: 'header',
  description:
    'respond-async: 202 at once. wait=<seconds>: so long at most for the predictions themselves. RFC 7240.',
  schema: { type: 'string', examples: ['respond-async', 'wait=10'] },
};

const contentEncoding: Parameter = {
  name: 'Content-Encoding',
  in: 'header',
  description: 'gzip, or nothing.',
  schema: { type: 'string', enum: ['gzip', 'identity'] },
};

const bodies: Readonly<Record<string, MediaType>> = {
  'application/json': {
    schema: schemaRef('BatchRequest'),
    examples: {
      plain: {
        summary: 'As the documentation has it',
        value: {
          inputs: [
            [1.5, 2.0, 3.1, 4.2, 5.0],
            [2.5, 3.0, 1.1, 2.2, 3.0],
          ],
          parameters: { return_probability: true },
        },
      },
      named: {
        summary: 'Ids of your own, and a call when it is done',
        value: {
          inputs: [{ id: 'mine-1', inputs: [1.5, 2.0, 3.1, 4.2, 5.0] }],
          webhook: 'https://example.com/done',
        },
      },
    },
  },
  'application/x-ndjson': {
    schema: textOf('An instance on each line, or { "id": "mine", "inputs": instance }; of any length.'),
    examples: { rows: { value: '[1.5,2.0,3.1,4.2,5.0]\n{"id":"mine-2","inputs":[2.5,3.0,1.1,2.2,3.0]}\n' } },
  },
  'text/csv': {
    schema: textOf('A header with the names of the features, then a row on each line; of any length.'),
    examples: {
      rows: { value: 'alcohol,flavanoids,color_intensity,hue,proline\n1.5,2.0,3.1,4.2,5.0\n' },
    },
  },
};

const done: Response = {
  description: 'All predictions: the batch ended within the wait.',
  headers: {
    'X-Request-Id': headerRef('X-Request-Id'),
    'X-Model-Version': { description: 'Version that answered.', schema: { type: 'string' } },
    ...preferenceApplied,
  },
  content: {
    'application/json': {
      schema: schemaRef('BatchDocument'),
      examples: {
        classification: {
          value: {
            predictions: [
              { id: 'pred_123456', output: 'class_1', probabilities: [0.1, 0.7, 0.2], score: 0.7 },
              { id: 'pred_123457', output: 'class_2', probabilities: [0.2, 0.3, 0.5], score: 0.5 },
            ],
            model_version: 'v1.2.3',
            model_name: 'my_classification_model',
            processing_time_ms: 45.2,
          },
        },
      },
    },
  },
};

function submit(operationId: string, summary: string): Operation {
  return {
    operationId,
    tags: ['batch'],
    summary,
    description:
      'Rows are taken as they arrive. One that is wrong fails alone, with its line. Streamed bodies are always answered 202.',
    security: [{ apiKey: ['batch'] }],
    parameters: [...streamedParameters, preferences, contentEncoding, idempotencyKey],
    requestBody: { required: true, content: bodies },
    responses: {
      200: done,
      202: batchAnswer('The batch is accepted: nothing of it is lost from here on.', {
        Location: locationHeader,
        ...preferenceApplied,
      }),
      ...failures(
        ...authenticatedCall,
        'not_found',
        'conflict',
        'payload_too_large',
        'unsupported_media_type',
        'bad_gateway',
      ),
    },
  };
}

export const batchSubmitPaths: Readonly<Record<string, PathItem>> = {
  '/api/v1/batch': {
    get: listBatches,
    post: submit('submitBatch', 'Submit rows for the default model, or the one that parameters name'),
  },
  '/api/v1/models/{model}/batch': {
    parameters: [modelParameter],
    post: submit('submitBatchToModel', 'Submit rows for a model'),
  },
  '/api/v1/models/{model}/versions/{version}/batch': {
    parameters: [modelParameter, versionParameter],
    post: submit('submitBatchToVersion', 'Submit rows for a version of a model'),
  },
};
