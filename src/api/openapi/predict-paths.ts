import { batchAnswer, locationHeader, preferenceApplied } from './batch-paths.ts';
import { authenticatedCall, failures, headerRef } from './errors.ts';
import { idempotencyKey, idempotencyReplayed } from './idempotency.ts';
import { schemaRef } from './types.ts';
import type { MediaType, Operation, Parameter, PathItem, Response } from './types.ts';

export const modelParameter: Parameter = {
  name: 'model',
  in: 'path',
  required: true,
  description: 'Name of the model.',
  schema: { type: 'string' },
};

export const versionParameter: Parameter = {
  name: 'version',
  in: 'path',
  required: true,
  description: 'Name of a version, or an alias.',
  schema: { type: 'string' },
};

const cacheControl: Parameter = {
  name: 'Cache-Control',
  in: 'header',
  description:
    'no-cache: computed anew, then kept; no-store: computed anew, not kept, as parameters.cache false.',
  schema: { type: 'string' },
};

const preferLater: Parameter = {
  name: 'Prefer',
  in: 'header',
  description:
    'respond-async: 202 with a batch of this one row; ignored where the key lacks scope batch. RFC 7240.',
  schema: { type: 'string', examples: ['respond-async'] },
};

const requestBody: MediaType = {
  schema: schemaRef('PredictRequest'),
  examples: {
    array: {
      summary: 'The features in their order',
      value: { inputs: [1.5, 2.0, 3.1, 4.2, 5.0], parameters: { return_probability: true } },
    },
    plain: { summary: 'No parameters', value: { inputs: [5.1, 3.5, 1.4, 0.2] } },
    named: {
      summary: 'Features by name',
      value: {
        inputs: { island: 'Biscoe', bill_length_mm: 45.2 },
        parameters: { top_k: 2, timeout_ms: 500 },
      },
    },
  },
};

const answered: Response = {
  description: 'The prediction.',
  headers: {
    'X-Request-Id': headerRef('X-Request-Id'),
    'X-Cache': {
      description:
        'hit: a kept result served; miss: it was computed; bypass: the cache was left out or away.',
      schema: { type: 'string', enum: ['hit', 'miss', 'bypass'] },
    },
    'X-Model-Version': { description: 'Version that answered.', schema: { type: 'string' } },
    'Idempotency-Replayed': idempotencyReplayed,
    'Server-Timing': {
      description: 'Milliseconds: queue (waiting), inference (the run), total.',
      schema: { type: 'string' },
    },
  },
  content: {
    'application/json': {
      schema: schemaRef('PredictResponse'),
      examples: {
        classification: {
          value: {
            predictions: [
              { id: 'pred_123456', output: 'class_1', probabilities: [0.1, 0.7, 0.2], score: 0.7 },
            ],
            model_version: 'v1.2.3',
            model_name: 'my_classification_model',
            processing_time_ms: 25.4,
          },
        },
        regression: {
          value: {
            predictions: [{ id: 'pred_123457', output: 152.13 }],
            model_version: '1',
            model_name: 'diabetes',
            processing_time_ms: 3.2,
          },
        },
      },
    },
  },
};

function predict(operationId: string, summary: string): Operation {
  return {
    operationId,
    tags: ['predict'],
    summary,
    security: [{ apiKey: ['predict'] }],
    parameters: [cacheControl, preferLater, idempotencyKey],
    requestBody: { required: true, content: { 'application/json': requestBody } },
    responses: {
      200: answered,
      202: batchAnswer('A batch of one, where respond-async was preferred.', {
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
        'timeout',
      ),
    },
  };
}

export const predictPaths: Readonly<Record<string, PathItem>> = {
  '/api/v1/predict': {
    post: predict('predict', 'Predict with the default model, or the one parameters name'),
  },
  '/api/v1/models/{model}/predict': {
    parameters: [modelParameter],
    post: predict('predictWithModel', 'Predict with a model'),
  },
  '/api/v1/models/{model}/versions/{version}/predict': {
    parameters: [modelParameter, versionParameter],
    post: predict('predictWithVersion', 'Predict with a version of a model'),
  },
};
