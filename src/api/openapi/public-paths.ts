import { anyCall, failures, limitedCall } from './errors.ts';
import { schemaRef } from './types.ts';
import type { MediaType, Operation, PathItem, Response } from './types.ts';

const healthBody: MediaType = {
  schema: schemaRef('Health'),
  examples: {
    healthy: {
      value: {
        status: 'healthy',
        version: '1.2.3',
        environment: 'production',
        dependencies: {
          redis: {
            status: 'healthy',
            latency_ms: 2.5,
            message: null,
            last_check: '2023-08-15T12:34:56.789Z',
          },
          model: {
            status: 'healthy',
            latency_ms: 5.7,
            message: null,
            last_check: '2023-08-15T12:34:56.789Z',
          },
        },
        uptime_seconds: 3600,
      },
    },
  },
};

function open(
  operationId: string,
  tag: string,
  summary: string,
  responses: Readonly<Record<string, Response>>,
  codes = anyCall,
): Operation {
  return {
    operationId,
    tags: [tag],
    summary,
    security: [],
    responses: { ...failures(...codes), ...responses },
  };
}

const probe: Response = {
  description: 'Yes.',
  content: { 'application/json': { schema: schemaRef('Probe') } },
};
const notReady: Response = {
  description: 'No; details says which condition does not hold.',
  content: { 'application/json': { schema: schemaRef('Error') } },
};

function file(type: string, description: string): Record<string, Response> {
  return {
    200: { description, content: { [type]: { schema: {} } } },
    304: { description: 'The caller has it already.' },
  };
}

export const publicPaths: Readonly<Record<string, PathItem>> = {
  '/api/v1/health': {
    get: open('getHealth', 'health', 'State of the server and of what it depends on', {
      200: { description: 'Serving.', content: { 'application/json': healthBody } },
      503: {
        description: 'Not serving: the same body, with status unhealthy.',
        content: { 'application/json': { schema: schemaRef('Health') } },
      },
    }),
  },
  '/livez': { get: open('getLiveness', 'health', 'Whether the process answers', { 200: probe }) },
  '/readyz': {
    get: open('getReadiness', 'health', 'Whether it should get requests', { 200: probe, 503: notReady }),
  },
  '/api/v1/openapi.json': {
    get: open('getContract', 'docs', 'This document', file('application/json', 'OpenAPI 3.1.'), limitedCall),
  },
  '/docs': {
    get: open('getDocs', 'docs', 'This document as a page', file('text/html', 'The page.'), limitedCall),
  },
  '/docs/assets/{file}': {
    parameters: [
      {
        name: 'file',
        in: 'path',
        required: true,
        description: 'Name of a file of the page.',
        schema: { type: 'string' },
      },
    ],
    get: {
      operationId: 'getDocsAsset',
      tags: ['docs'],
      summary: 'A file of the page',
      security: [],
      responses: { ...failures(...anyCall, 'not_found'), ...file('*/*', 'The file.') },
    },
  },
};
