import { modelPage } from '../http/model-routes.ts';
import { authenticatedCall, failures, headerRef } from './errors.ts';
import { modelParameter, versionParameter } from './predict-paths.ts';
import { schemaRef } from './types.ts';
import type { Operation, Parameter, PathItem } from './types.ts';

const ifNoneMatch: Parameter = {
  name: 'If-None-Match',
  in: 'header',
  description: 'ETag of the answer that the caller has: 304 while it still holds.',
  schema: { type: 'string' },
};

function read(operationId: string, summary: string, schema: string, query: readonly Parameter[]): Operation {
  return {
    operationId,
    tags: ['models'],
    summary,
    security: [{ apiKey: ['models:read'] }],
    parameters: [...query, ifNoneMatch],
    responses: {
      200: {
        description: summary,
        headers: {
          'X-Request-Id': headerRef('X-Request-Id'),
          ETag: { description: 'Changes with the answer.', schema: { type: 'string' } },
        },
        content: { 'application/json': { schema: schemaRef(schema) } },
      },
      304: { description: 'The caller has this answer already.' },
      ...failures(...authenticatedCall, 'not_found'),
    },
  };
}

export const modelPaths: Readonly<Record<string, PathItem>> = {
  '/api/v1/models': {
    get: read('listModels', 'Models by name, in pages', 'ModelList', [
      {
        name: 'limit',
        in: 'query',
        description: 'Models on a page.',
        schema: { type: 'integer', minimum: 1, maximum: modelPage.max, default: modelPage.default },
      },
      {
        name: 'cursor',
        in: 'query',
        description: 'next_cursor of the page before.',
        schema: { type: 'string' },
      },
    ]),
  },
  '/api/v1/models/{model}': {
    parameters: [modelParameter],
    get: read('getModel', 'A model: what to send, what comes back, its versions', 'Model', []),
  },
  '/api/v1/models/{model}/versions/{version}': {
    parameters: [modelParameter, versionParameter],
    get: read('getVersion', 'A version in full', 'ModelVersion', []),
  },
};
