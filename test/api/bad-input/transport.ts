import type { ErrorCode } from '../../../src/errors.ts';
import { goodBody, post } from './bad-case.ts';
import type { BadCase } from './bad-case.ts';

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

export const transportCases: readonly BadCase[] = [...malformedCases, ...framingCases, ...sizeCases];
