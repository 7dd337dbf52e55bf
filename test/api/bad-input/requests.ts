import type { ErrorCode } from '../../../src/errors.ts';
import { post } from './bad-case.ts';
import type { BadCase, Post } from './bad-case.ts';

const closes = { connection: 'close' } as const;

function badTarget(name: string, target: string, status: number, code: ErrorCode, place: string): BadCase {
  return { name, bytes: post({ path: target }), status, code, place };
}

const targetCases: readonly BadCase[] = [
  badTarget('percent-encoding of no byte', '/api/v1/models/%zz/predict', 400, 'invalid_input', 'target'),
  badTarget('percent-encoding that is cut', '/api/v1/models/%4', 400, 'invalid_input', 'target'),
  badTarget('percent-encoding of no UTF-8', '/%ff', 400, 'invalid_input', 'target'),
  badTarget('an asterisk', '*', 400, 'invalid_input', 'target'),
  badTarget('another authority', 'http://elsewhere/api/v1/predict', 400, 'invalid_input', 'target'),
  badTarget('an unknown path', '/api/v1/predictions', 404, 'not_found', 'openapi'),
  badTarget('the root', '/', 404, 'not_found', 'openapi'),
  badTarget('a trailing slash', '/api/v1/predict/', 404, 'not_found', 'openapi'),
  badTarget('a doubled slash', '/api//v1/predict', 404, 'not_found', 'openapi'),
  badTarget('dots', '/api/v1/../v1/predict', 404, 'not_found', 'openapi'),
  badTarget('another case', '/API/V1/PREDICT', 404, 'not_found', 'openapi'),
  badTarget('an inherited name', '/__proto__', 404, 'not_found', 'openapi'),
  badTarget('an empty model', '/api/v1/models//predict', 404, 'not_found', 'openapi'),
  badTarget('an unknown model', '/api/v1/models/merlot/predict', 404, 'not_found', 'known'),
  badTarget('a model by an inherited name', '/api/v1/models/constructor/predict', 404, 'not_found', 'known'),
  badTarget('a model with a slash', '/api/v1/models/a%2Fb/predict', 404, 'not_found', 'known'),
  badTarget('a model of dots', '/api/v1/models/%2e%2e/predict', 404, 'not_found', 'known'),
  badTarget('a model with a NUL', '/api/v1/models/wine%00/predict', 404, 'not_found', 'known'),
  badTarget('an unknown version', '/api/v1/models/wine/versions/v9/predict', 404, 'not_found', 'known'),
  badTarget(
    'an inherited version',
    '/api/v1/models/wine/versions/toString/predict',
    404,
    'not_found',
    'known',
  ),
  badTarget('an unknown query parameter', '/api/v1/predict?top_k=3', 400, 'invalid_input', 'query.top_k'),
  badTarget('a broken query', '/api/v1/predict?%', 400, 'invalid_input', 'query'),
];

function get(name: string, path: string, lines: readonly string[], expected: Partial<BadCase>): BadCase {
  return {
    name,
    bytes: (key) =>
      `GET ${path} HTTP/1.1\r\nHost: a\r\nX-API-Key: ${key}\r\n${lines.map((line) => `${line}\r\n`).join('')}\r\n`,
    status: 400,
    code: 'invalid_input',
    place: '',
    ...expected,
  };
}

const methodCases: readonly BadCase[] = [
  ...['GET', 'PUT', 'DELETE', 'PATCH', 'PROPFIND', 'TRACE', 'QUERY'].map(
    (method): BadCase => ({
      name: `${method} on predict`,
      bytes: post({ requestLine: `${method} /api/v1/predict HTTP/1.1` }),
      status: 405,
      code: 'method_not_allowed',
      place: 'POST',
      headers: { allow: 'OPTIONS, POST' },
    }),
  ),
  {
    name: 'POST on health',
    bytes: post({ path: '/api/v1/health' }),
    status: 405,
    code: 'method_not_allowed',
    place: 'GET',
    headers: { allow: 'GET, HEAD, OPTIONS' },
  },
];

const queryCases: readonly BadCase[] = [
  get('limit 0', '/api/v1/models?limit=0', [], { place: 'query.limit' }),
  get('limit -1', '/api/v1/models?limit=-1', [], { place: 'query.limit' }),
  get('limit 1e2', '/api/v1/models?limit=1e2', [], { place: 'query.limit' }),
  get('limit past its bound', '/api/v1/models?limit=201', [], { place: 'query.limit' }),
  get('limit without a value', '/api/v1/models?limit', [], { place: 'query.limit' }),
  get('limit twice', '/api/v1/models?limit=1&limit=2', [], { place: 'query.limit' }),
  get('an unknown name', '/api/v1/models?offset=1', [], { place: 'query.offset' }),
  get('a broken cursor', '/api/v1/models?cursor=%C3', [], { place: 'query' }),
];

function unauthorized(name: string, headers: Post['headers'] & object, place: string): BadCase {
  return {
    name,
    bytes: post({ headers }),
    status: 401,
    code: 'unauthorized',
    place,
    headers: { 'www-authenticate': /ApiKey.*Bearer/ },
  };
}

const wellFormed = 'mlr_test_AAAAAAAAAAAA_BBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBB';

const credentialCases: readonly BadCase[] = [
  unauthorized('no key', { 'X-API-Key': null }, 'X-API-Key'),
  unauthorized('an empty key', { 'X-API-Key': '' }, 'malformed'),
  unauthorized('a key in words', { 'X-API-Key': 'letmein' }, 'malformed'),
  unauthorized('a key with a wrong checksum', { 'X-API-Key': `${wellFormed}_00000000` }, 'malformed'),
  unauthorized('a key of 10,000 characters', { 'X-API-Key': 'k'.repeat(10_000) }, 'malformed'),
  unauthorized('a key in Latin-1', { 'X-API-Key': 'clé' }, 'malformed'),
  unauthorized('a bearer token', { 'X-API-Key': null, Authorization: 'Bearer abc.def.ghi' }, 'issuer'),
  unauthorized('a password', { 'X-API-Key': null, Authorization: 'Basic dTpw' }, 'issuer'),
];

function notAcceptable(accept: string): BadCase {
  return {
    name: `Accept ${accept}`,
    bytes: post({ headers: { Accept: accept } }),
    status: 406,
    code: 'not_acceptable',
    place: 'application/json',
    headers: { vary: 'Accept' },
  };
}

const negotiationCases: readonly BadCase[] = [
  ...[
    'text/html',
    'application/xml',
    'application/json;q=0',
    '*/*;q=0',
    'application/*;q=0, text/plain',
    'application/json;q=0, */*',
    'application/jsonp',
    'image/*',
  ].map(notAcceptable),
  ...['200-ok', '100-continue, 200-ok'].map(
    (expect): BadCase => ({
      name: `Expect ${expect}`,
      bytes: post({ headers: { Expect: expect } }),
      status: 417,
      code: 'expectation_failed',
      place: 'header Expect',
      headers: closes,
    }),
  ),
  {
    name: 'Expect 100-continue with too long a body',
    bytes: post({ body: '', headers: { Expect: '100-continue', 'Content-Length': '100000' } }),
    status: 413,
    code: 'payload_too_large',
    place: '(root)',
    headers: closes,
  },
  {
    name: 'Expect 100-continue without a key',
    bytes: post({ body: '', headers: { Expect: '100-continue', 'X-API-Key': null, 'Content-Length': '10' } }),
    status: 401,
    code: 'unauthorized',
    place: 'X-API-Key',
    headers: closes,
  },
  {
    name: 'Expect 100-continue with another media type',
    bytes: post({
      body: '',
      headers: { Expect: '100-continue', 'Content-Type': 'text/csv', 'Content-Length': '10' },
    }),
    status: 415,
    code: 'unsupported_media_type',
    place: 'header Content-Type',
    headers: closes,
  },
];

/** Well-formed requests that ask for what is not there, not allowed or not understood. */
export const requestCases: readonly BadCase[] = [
  ...targetCases,
  ...methodCases,
  ...queryCases,
  ...credentialCases,
  ...negotiationCases,
];
