import type { ErrorCode } from '../../../src/errors.ts';
import { goodBody, post } from './bad-case.ts';
import type { BadCase, Post } from './bad-case.ts';

const closes = { connection: 'close' } as const;

function raw(name: string, bytes: string, status: number, code: ErrorCode, place: string): BadCase {
  return { name, bytes: () => Buffer.from(bytes, 'latin1'), status, code, place, headers: closes };
}

/** The parser stops here, or the protocol check behind it does: always the end of the connection. */
const malformedCases: readonly BadCase[] = [
  raw('garbage', '\u0016\u0003\u0001\u0002\u0000\r\n\r\n', 400, 'invalid_input', 'parser'),
  raw('a line without a version', 'GET /livez\r\n\r\n', 505, 'http_version_not_supported', 'HTTP/1.1'),
  raw('a version without a number', 'GET /livez HTTP\r\nHost: a\r\n\r\n', 400, 'invalid_input', 'parser'),
  raw('another protocol', 'GET /livez SIP/2.0\r\nHost: a\r\n\r\n', 400, 'invalid_input', 'parser'),
  raw('a space before a colon', 'GET /livez HTTP/1.1\r\nHost : a\r\n\r\n', 400, 'invalid_input', 'parser'),
  raw('a folded header', 'GET /livez HTTP/1.1\r\nHost: a\r\n b: c\r\n\r\n', 400, 'invalid_input', 'parser'),
  raw('a header without a colon', 'GET /livez HTTP/1.1\r\nHost\r\n\r\n', 400, 'invalid_input', 'parser'),
  raw(
    'an empty header name',
    'GET /livez HTTP/1.1\r\nHost: a\r\n: b\r\n\r\n',
    400,
    'invalid_input',
    'parser',
  ),
  raw('a NUL in a header', 'GET /livez HTTP/1.1\r\nHost: a\r\nX: \0\r\n\r\n', 400, 'invalid_input', 'parser'),
  raw(
    'a bare CR in a header',
    'GET /livez HTTP/1.1\r\nHost: a\r\nX: b\rc\r\n\r\n',
    400,
    'invalid_input',
    'parser',
  ),
  raw('no Host', 'GET /livez HTTP/1.1\r\n\r\n', 400, 'invalid_input', 'header Host'),
  raw('two Hosts', 'GET /livez HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n', 400, 'invalid_input', 'header Host'),
  raw(
    'two equal Hosts',
    'GET /livez HTTP/1.1\r\nHost: a\r\nhOsT: a\r\n\r\n',
    400,
    'invalid_input',
    'header Host',
  ),
  raw('HTTP/2.0', 'GET /livez HTTP/2.0\r\nHost: a\r\n\r\n', 505, 'http_version_not_supported', 'HTTP/1.1'),
  raw('HTTP/1.2', 'GET /livez HTTP/1.2\r\nHost: a\r\n\r\n', 505, 'http_version_not_supported', 'parser'),
  raw('HTTP/3.0', 'GET /livez HTTP/3.0\r\nHost: a\r\n\r\n', 505, 'http_version_not_supported', 'parser'),
  raw('HTTP/0.9', 'GET /livez HTTP/0.9\r\nHost: a\r\n\r\n', 505, 'http_version_not_supported', 'HTTP/1.1'),
  raw('the preface of HTTP/2', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 505, 'http_version_not_supported', ''),
  raw('an unknown method', 'FOO /livez HTTP/1.1\r\nHost: a\r\n\r\n', 501, 'not_implemented', 'parser'),
  raw('a method in lower case', 'get /livez HTTP/1.1\r\nHost: a\r\n\r\n', 501, 'not_implemented', 'parser'),
  raw('a method of signs', '!#$ /livez HTTP/1.1\r\nHost: a\r\n\r\n', 501, 'not_implemented', 'parser'),
  raw('CONNECT', 'CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n', 501, 'not_implemented', ''),
];

function framing(name: string, lines: readonly string[], body: string, place: string): BadCase {
  return {
    name,
    bytes: post({ body, lines, headers: { 'Content-Length': null } }),
    status: 400,
    code: 'invalid_input',
    place,
    headers: closes,
  };
}

/** Where one reader would see the end of the body elsewhere than another. */
const framingCases: readonly BadCase[] = [
  framing('two lengths', ['Content-Length: 5', 'Content-Length: 6'], goodBody, 'parser'),
  framing('a length and chunks', ['Content-Length: 5', 'Transfer-Encoding: chunked'], '0\r\n\r\n', 'parser'),
  framing('a negative length', ['Content-Length: -1'], goodBody, 'parser'),
  framing('a length in words', ['Content-Length: five'], goodBody, 'parser'),
  framing('a length with a plus', ['Content-Length: +5'], goodBody, 'parser'),
  framing('a length past all integers', [`Content-Length: ${'9'.repeat(30)}`], goodBody, 'parser'),
  framing('an unknown coding', ['Transfer-Encoding: xchunked'], '0\r\n\r\n', 'transfer_encoding'),
  framing('gzip under chunks', ['Transfer-Encoding: gzip, chunked'], '0\r\n\r\n', 'Transfer-Encoding'),
  framing('chunked twice', ['Transfer-Encoding: chunked, chunked'], '0\r\n\r\n', ''),
  framing('a chunk size in words', ['Transfer-Encoding: chunked'], 'zz\r\nab\r\n0\r\n\r\n', 'parser'),
  framing('a negative chunk size', ['Transfer-Encoding: chunked'], '-1\r\nab\r\n0\r\n\r\n', 'parser'),
  framing('a chunk longer than it says', ['Transfer-Encoding: chunked'], '1\r\nabc\r\n0\r\n\r\n', 'parser'),
  framing('chunks that end in bare line feeds', ['Transfer-Encoding: chunked'], '2\nab\n0\n\n', 'parser'),
  framing(
    'a chunk size past all integers',
    ['Transfer-Encoding: chunked'],
    `${'f'.repeat(20)}\r\n`,
    'parser',
  ),
  {
    name: 'chunks in HTTP/1.0',
    bytes: post({
      requestLine: 'POST /api/v1/predict HTTP/1.0',
      body: '0\r\n\r\n',
      lines: ['Transfer-Encoding: chunked'],
      headers: { 'Content-Length': null },
    }),
    status: 400,
    code: 'invalid_input',
    place: 'Transfer-Encoding',
    headers: closes,
  },
  {
    name: 'two media types',
    bytes: post({ lines: ['Content-Type: text/plain'] }),
    status: 400,
    code: 'invalid_input',
    place: 'header Content-Type',
    headers: closes,
  },
  {
    name: 'a body cut short',
    bytes: post({ headers: { 'Content-Length': '100' } }),
    options: { halfClose: true },
    status: 400,
    code: 'invalid_input',
    place: 'parser',
    headers: closes,
  },
  {
    name: 'chunks cut short',
    bytes: post({
      body: '20\r\n{"inputs":',
      lines: ['Transfer-Encoding: chunked'],
      headers: { 'Content-Length': null },
    }),
    options: { halfClose: true },
    status: 400,
    code: 'invalid_input',
    place: 'parser',
    headers: closes,
  },
  {
    name: 'headers cut short',
    bytes: () => 'POST /api/v1/predict HTTP/1.1\r\nHost: a\r\nX-',
    options: { halfClose: true },
    status: 400,
    code: 'invalid_input',
    place: 'parser',
    headers: closes,
  },
  {
    name: 'no body',
    bytes: post({ body: '' }),
    status: 400,
    code: 'invalid_input',
    place: '(root)',
  },
  {
    name: 'no body and no length',
    bytes: post({ body: '', headers: { 'Content-Length': null } }),
    status: 400,
    code: 'invalid_input',
    place: '(root)',
  },
  {
    name: 'chunks without content',
    bytes: post({
      body: '0\r\n\r\n',
      lines: ['Transfer-Encoding: chunked'],
      headers: { 'Content-Length': null },
    }),
    status: 400,
    code: 'invalid_input',
    place: '(root)',
  },
];

const big = 'x'.repeat(70_000);

const sizeCases: readonly BadCase[] = [
  {
    name: 'a body past the limit',
    bytes: post({ body: `{"inputs":"${big}"}` }),
    status: 413,
    code: 'payload_too_large',
    place: '(root)',
    headers: closes,
  },
  {
    name: 'a length past the limit, without the body',
    bytes: post({ headers: { 'Content-Length': '10000000000' } }),
    status: 413,
    code: 'payload_too_large',
    place: '(root)',
    headers: closes,
  },
  {
    name: 'chunks past the limit',
    bytes: post({
      body: `${big.length.toString(16)}\r\n${big}\r\n`,
      lines: ['Transfer-Encoding: chunked'],
      headers: { 'Content-Length': null },
    }),
    status: 413,
    code: 'payload_too_large',
    place: '(root)',
    headers: closes,
  },
  {
    name: 'chunk extensions past the limit',
    bytes: post({
      body: `5;${'e'.repeat(20_000)}\r\nhello\r\n0\r\n\r\n`,
      lines: ['Transfer-Encoding: chunked'],
      headers: { 'Content-Length': null },
    }),
    status: 413,
    code: 'payload_too_large',
    place: 'parser',
    headers: closes,
  },
  {
    name: 'a header of 20,000 bytes',
    bytes: post({ lines: [`X-Long: ${'h'.repeat(20_000)}`] }),
    status: 431,
    code: 'headers_too_large',
    place: 'parser',
    headers: closes,
  },
  {
    name: '101 headers',
    bytes: post({ lines: Array.from({ length: 97 }, (_, index) => `X-${index}: 1`) }),
    status: 431,
    code: 'headers_too_large',
    place: '100',
    headers: closes,
  },
  {
    name: '2,500 headers before the key',
    bytes: post({ lines: Array.from({ length: 2500 }, () => 'a:') }),
    status: 431,
    code: 'headers_too_large',
    place: '',
    headers: closes,
  },
  {
    name: 'a target of 20,000 bytes',
    bytes: () => `GET /${'t'.repeat(20_000)} HTTP/1.1\r\nHost: a\r\n\r\n`,
    status: 414,
    code: 'uri_too_long',
    place: 'parser',
    headers: closes,
  },
];

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

export const transportCases: readonly BadCase[] = [
  ...malformedCases,
  ...framingCases,
  ...sizeCases,
  ...targetCases,
  ...methodCases,
  ...queryCases,
  ...credentialCases,
  ...negotiationCases,
];
