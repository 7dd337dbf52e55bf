import type { ErrorCode } from '../../errors.ts';
import type { SchemaObject } from '../../validation.ts';
import { authenticatedCall, failures, headerRef } from './errors.ts';
import { arrayOf, objectOf, schemaRef, textOf } from './types.ts';
import type { Operation, Parameter, PathItem } from './types.ts';

const instant: SchemaObject = { type: 'string', description: 'RFC 3339, UTC.' };
const instantOrNull: SchemaObject = { type: ['string', 'null'] };

export const webhookSchemas: Readonly<Record<string, SchemaObject>> = {
  WebhookSecret: objectOf({
    secret: textOf('whsec_ and base64: signs the webhooks of this caller (Standard Webhooks, v1).'),
    created_at: instant,
    previous: {
      ...arrayOf(objectOf({ created_at: instant, expires_at: instant })),
      description: 'Secrets before it that sign too until they expire.',
    },
  }),
  Delivery: objectOf({
    attempt: { type: 'integer', minimum: 1, description: 'Begins anew with a redelivery.' },
    redelivery: { type: 'boolean', description: 'Whether it was asked for.' },
    at: instant,
    duration_ms: { type: 'integer', minimum: 0 },
    status: { type: ['integer', 'null'], description: 'Of the answer; null where none came.' },
    error: {
      type: ['string', 'null'],
      enum: [
        'bad_status',
        'redirect',
        'gone',
        'timeout',
        'address_refused',
        'name_not_found',
        'connection_failed',
        'tls_failed',
        'bad_answer',
        null,
      ],
      description: 'Why it failed; null when it was delivered.',
    },
    next_attempt_at: { ...instantOrNull, description: 'Null when it was delivered or given up.' },
  }),
  Deliveries: objectOf({
    webhook: { type: ['string', 'null'], description: 'Where the batch object is sent; null for nowhere.' },
    status: { type: ['string', 'null'], enum: ['pending', 'delivered', 'given_up', null] },
    deliveries: { ...arrayOf(schemaRef('Delivery')), description: 'The oldest first, the newest 50.' },
  }),
  Redelivery: objectOf({
    webhook: textOf('Where the batch object is sent.'),
    links: objectOf({ deliveries: textOf('Where to see what comes of it.') }),
  }),
};

const batchId: Parameter = {
  name: 'id',
  in: 'path',
  required: true,
  description: 'Id of the batch.',
  schema: { type: 'string' },
};

interface Described {
  readonly operationId: string;
  readonly summary: string;
  readonly status: 200 | 202;
  readonly schema: string;
}

function operation(
  { operationId, summary, status, schema }: Described,
  more: readonly ErrorCode[],
): Operation {
  const location = { description: 'Where to see what comes of it.', schema: { type: 'string' } };
  return {
    operationId,
    tags: ['webhooks'],
    summary,
    security: [{ apiKey: ['batch'] }],
    responses: {
      [status]: {
        description: summary,
        headers: {
          'X-Request-Id': headerRef('X-Request-Id'),
          ...(status === 202 ? { Location: location } : {}),
        },
        content: { 'application/json': { schema: schemaRef(schema) } },
      },
      ...failures(...authenticatedCall, ...more),
    },
  };
}

export const webhookPaths: Readonly<Record<string, PathItem>> = {
  '/api/v1/batch/{id}/deliveries': {
    parameters: [batchId],
    get: operation(
      {
        operationId: 'listDeliveries',
        summary: 'Attempts to call the webhook of a batch',
        status: 200,
        schema: 'Deliveries',
      },
      ['not_found'],
    ),
  },
  '/api/v1/batch/{id}/redeliver': {
    parameters: [batchId],
    post: operation(
      {
        operationId: 'redeliver',
        summary: 'Call the webhook of an ended batch again',
        status: 202,
        schema: 'Redelivery',
      },
      ['not_found', 'conflict'],
    ),
  },
  '/api/v1/webhook-secret': {
    get: operation(
      {
        operationId: 'getWebhookSecret',
        summary: 'The secret that signs your webhooks, made on demand',
        status: 200,
        schema: 'WebhookSecret',
      },
      [],
    ),
  },
  '/api/v1/webhook-secret/rotate': {
    post: operation(
      {
        operationId: 'rotateWebhookSecret',
        summary: 'A new secret; the old one signs too for a while',
        status: 200,
        schema: 'WebhookSecret',
      },
      [],
    ),
  },
};
