import { errorCatalogue } from '../../errors.ts';
import type { ErrorCode } from '../../errors.ts';
import type { SchemaObject } from '../../validation.ts';
import { statusByCode } from '../http/error-handler.ts';
import { arrayOf, objectOf, schemaRef, textOf } from './types.ts';
import type { Header, Reference, Response } from './types.ts';

const codes = Object.keys(errorCatalogue) as ErrorCode[];

export const errorSchemas: Readonly<Record<string, SchemaObject>> = {
  ErrorPlace: objectOf({
    path: textOf('JSON path from the root of the body, as in inputs[3]; or the header or query parameter.'),
    expected: textOf('What would have been right.'),
    found: textOf('What was there.'),
  }),
  Error: objectOf({
    error: objectOf({
      code: { type: 'string', enum: codes, description: 'What went wrong, for programs.' },
      message: textOf('What went wrong, for people.'),
      details: {
        description: 'One sentence, the wrong places, or facts by name.',
        anyOf: [{ type: 'string' }, arrayOf(schemaRef('ErrorPlace')), { type: 'object' }, { type: 'null' }],
      },
      request_id: textOf('Name it when you ask about this answer; also in X-Request-Id.'),
    }),
  }),
};

/** Headers that the answer to a code carries besides those of every answer. */
const headersByCode: Partial<Record<ErrorCode, readonly string[]>> = {
  unauthorized: ['WWW-Authenticate'],
  method_not_allowed: ['Allow'],
  unsupported_media_type: ['Accept-Post'],
  rate_limit_exceeded: ['Retry-After', 'RateLimit', 'RateLimit-Policy'],
  service_unavailable: ['Retry-After'],
};

/** One response for each code: what the client may see, whichever path it asks for. */
export const errorResponses: Readonly<Record<string, Response>> = Object.fromEntries(
  codes.map((code) => [code, errorResponse(code)]),
);

function errorResponse(code: ErrorCode): Response {
  const names = ['X-Request-Id', ...(headersByCode[code] ?? [])];
  const { message } = errorCatalogue[code];
  return {
    description: message,
    headers: Object.fromEntries(names.map((name) => [name, headerRef(name)])),
    content: {
      'application/json': {
        schema: schemaRef('Error'),
        examples: {
          [code]: { value: { error: { code, message, details: null, request_id: 'req_abcd1234' } } },
        },
      },
    },
  };
}

export const errorHeaders: Readonly<Record<string, Header>> = {
  'X-Request-Id': {
    description: 'Id of the request: the one that came in this header, or one of ours.',
    schema: { type: 'string', pattern: '^[A-Za-z0-9._-]{1,64}$' },
  },
  'WWW-Authenticate': { description: 'The ways in.', schema: { type: 'string' } },
  Allow: { description: 'Methods that the path supports.', schema: { type: 'string' } },
  'Accept-Post': { description: 'Media types that a POST may have.', schema: { type: 'string' } },
  'Retry-After': {
    description: 'Seconds after which a retry makes sense.',
    schema: { type: 'integer', minimum: 1 },
  },
  RateLimit: {
    description:
      'Requests left (r), and seconds until there are more (t). On every answer to a caller with a limit. ' +
      'A structured field of draft-ietf-httpapi-ratelimit-headers.',
    schema: { type: 'string', examples: ['"default";r=50;t=30'] },
  },
  'RateLimit-Policy': {
    description:
      'Which limit it is: anonymous, default or sensitive; requests (q) in a window of seconds (w).',
    schema: { type: 'string', examples: ['"default";q=100;w=60'] },
  },
};

export function headerRef(name: string): Reference {
  return { $ref: `#/components/headers/${name}` };
}

/** Responses by status, for an operation that can end with these codes. No two share a status. */
export function failures(...expected: readonly ErrorCode[]): Readonly<Record<string, Reference>> {
  return Object.fromEntries(
    expected.map((code) => [statusByCode[code], { $ref: `#/components/responses/${code}` }]),
  );
}

/** What any call may meet, by the table in docs/errors.md: HTTP itself, and trouble of ours. */
export const anyCall: readonly ErrorCode[] = [
  'invalid_input',
  'not_acceptable',
  'request_timeout',
  'uri_too_long',
  'expectation_failed',
  'headers_too_large',
  'internal_error',
  'http_version_not_supported',
];

/** Probes, health and files are for anybody at any rate; the rest is limited. */
export const limitedCall: readonly ErrorCode[] = [...anyCall, 'rate_limit_exceeded'];

/** 503 also where nothing is run: the store of keys may be out of reach. */
export const authenticatedCall: readonly ErrorCode[] = [
  ...limitedCall,
  'unauthorized',
  'forbidden',
  'service_unavailable',
];
