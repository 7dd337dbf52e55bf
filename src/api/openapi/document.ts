import { batchPaths } from './batch-paths.ts';
import { batchSchemas } from './batch-schemas.ts';
import { batchSubmitPaths } from './batch-submit-paths.ts';
import { deadLetterPaths } from './dead-letter-paths.ts';
import { errorHeaders, errorResponses, errorSchemas } from './errors.ts';
import { limitsPaths, limitsSchemas } from './limits-paths.ts';
import { modelPaths } from './model-paths.ts';
import { predictPaths } from './predict-paths.ts';
import { publicPaths } from './public-paths.ts';
import { healthSchemas, modelSchemas, predictSchemas } from './schemas.ts';
import type { OpenApiDocument } from './types.ts';
import { webhookPaths, webhookSchemas } from './webhook-paths.ts';

export interface OpenApiOptions {
  readonly version: string;
  readonly timeoutMsMax: number;
}

const description = `Predictions from ONNX models, over a queue.

Every error has the same envelope, on every path: \`{ "error": { "code", "message", "details", "request_id" } }\`.
Callers are limited by key, or by address without one; \`RateLimit\` on an answer says what is left, and past the limit it is 429.
HEAD goes with every GET, OPTIONS with every path; other methods are 405 with \`Allow\`.
Where a JSON body repeats a member, the last one counts. \`GET /api/v1/models/{model}\` says what to send.`;

/** The contract in machine form. */
export function openApiDocument({ version, timeoutMsMax }: OpenApiOptions): OpenApiDocument {
  return {
    openapi: '3.1.0',
    info: {
      title: 'Millrace',
      version,
      description,
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
    },
    servers: [{ url: '/', description: 'This server' }],
    tags: [
      { name: 'predict', description: 'One instance in, one prediction out.' },
      { name: 'batch', description: 'Many rows, run when there is room, and what came of them.' },
      { name: 'webhooks', description: 'Calls of yours when a batch has ended.' },
      { name: 'dead letters', description: 'Rows that all attempts failed on; for admins.' },
      { name: 'limits', description: 'How much of everything.' },
      { name: 'models', description: 'What can be asked, and how.' },
      { name: 'health', description: 'For people, balancers and orchestrators; public.' },
      { name: 'docs', description: 'The contract; public.' },
    ],
    paths: {
      ...predictPaths,
      ...batchSubmitPaths,
      ...batchPaths,
      ...webhookPaths,
      ...deadLetterPaths,
      ...limitsPaths,
      ...modelPaths,
      ...publicPaths,
    },
    components: {
      schemas: {
        ...errorSchemas,
        ...predictSchemas(timeoutMsMax),
        ...batchSchemas,
        ...webhookSchemas,
        ...limitsSchemas,
        ...modelSchemas,
        ...healthSchemas,
      },
      responses: errorResponses,
      headers: errorHeaders,
      securitySchemes: {
        apiKey: {
          type: 'apiKey',
          in: 'header',
          name: 'X-API-Key',
          description: 'Made by `npm run keys -- create`. The scope that a call needs stands beside it.',
        },
      },
    },
  };
}
