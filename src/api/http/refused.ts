import { STATUS_CODES } from 'node:http';
import type { IncomingMessage, Server } from 'node:http';
import type { Duplex } from 'node:stream';
import { channels } from '../../channels.ts';
import type { RequestEvent } from '../../channels.ts';
import { MillraceError } from '../../errors.ts';
import type { ErrorCode } from '../../errors.ts';
import { errorAnswer } from './error-handler.ts';
import { exchangeOn } from './exchange.ts';
import { Refusal } from './refusal.ts';
import { nextSerial } from './request-id.ts';

/**
 * Gives the envelope to what never reaches the application: requests that Node's parser refuses, and CONNECT.
 * An Upgrade is not refused: without a listener for it Node answers
 * over HTTP/1.1, as RFC 9110 §7.8 lets it.
 */
export function refuseOutsideApp(server: Server, headerBytesMax: number): void {
  server.on('clientError', (error: ParserError, socket: Duplex) => {
    if (error.code === 'ECONNRESET' || error.code === 'EPIPE' || !socket.writable) socket.destroy();
    else refuseOnSocket(socket, parserRefusal(error, headerBytesMax));
  });
  server.on('connect', (_request: IncomingMessage, socket: Duplex) => {
    socket.on('error', () => socket.destroy());
    writeRaw(socket, new MillraceError('not_implemented', 'CONNECT is not implemented'), 'CONNECT');
  });
}

interface ParserError extends Error {
  readonly code?: string;
  readonly bytesParsed?: number;
  readonly rawPacket?: Buffer;
}

/**
 * The parser has lost its place, so the connection ends. Whose answer the refusal is depends on where it was:
 * in the middle of a request that the application has already begun to read, that request's; behind complete
 * ones whose answers are still due, nobody's: writing here would give one of them the wrong answer.
 */
function refuseOnSocket(socket: Duplex, error: MillraceError): void {
  const exchange = exchangeOn(socket);
  if (exchange === undefined || exchange.written) writeRaw(socket, error, '');
  else if (exchange.open && !exchange.request.complete) exchange.fail(error);
  else exchange.endConnection();
}

function parserRefusal(error: ParserError, headerBytesMax: number): Refusal {
  const line = lineAt(error);
  const [code, message] = classify(error.code ?? '', line, headerBytesMax);
  return new Refusal(code, message, { closes: true, details: detailsOf(error.code ?? '') });
}

function classify(code: string, line: string, headerBytesMax: number): readonly [ErrorCode, string?] {
  switch (code) {
    case 'HPE_HEADER_OVERFLOW':
      return requestTarget(line).length > headerBytesMax ? ['uri_too_long'] : ['headers_too_large'];
    case 'ERR_HTTP_REQUEST_TIMEOUT':
      return ['request_timeout'];
    case 'HPE_CHUNK_EXTENSIONS_OVERFLOW':
      return ['payload_too_large', 'The chunk extensions are too large'];
    case 'HPE_INVALID_METHOD':
      return requestLine.test(line) ? ['not_implemented'] : ['invalid_input', malformed];
    case 'HPE_PAUSED_H2_UPGRADE':
      return ['http_version_not_supported'];
    case 'HPE_INVALID_VERSION':
      return versionedLine.test(line) ? ['http_version_not_supported'] : ['invalid_input', malformed];
    default:
      return ['invalid_input', malformed];
  }
}

const malformed = 'The request is malformed';
/** `FOO /path HTTP/1.1`: a method of token characters that the parser does not know. */
const requestLine = /^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,64} \S+ HTTP\/\d/;
const versionedLine = /^\S+ \S+ HTTP\/\d+\.\d+\s*$/;

function requestTarget(line: string): string {
  return /^[A-Z]+ \S*/.exec(line)?.[0] ?? '';
}

/** The line in which the parser stopped: at most the packet that it was given last. */
function lineAt(error: ParserError): string {
  const packet = error.rawPacket?.toString('latin1') ?? '';
  const at = Math.max(0, (error.bytesParsed ?? 0) - 1);
  const start = packet.lastIndexOf('\n', at) + 1;
  const end = packet.indexOf('\r', Math.max(start, at));
  return packet.slice(start, end < 0 ? undefined : end);
}

function detailsOf(code: string): string {
  // The parser's codes are a closed list of Node's own and hold nothing of the request.
  return code.startsWith('HPE_') ? `The HTTP parser stopped: ${code.slice(4).toLowerCase()}` : 'Too slow';
}

/** An answer without a ServerResponse. */
function writeRaw(socket: Duplex, error: MillraceError, method: string): void {
  const requestId = `req_${nextSerial()}`;
  const answer = errorAnswer(error, requestId);
  const fields = [
    ...answer.headers,
    'X-Request-Id',
    requestId,
    'X-Content-Type-Options',
    'nosniff',
    'Content-Length',
    String(Buffer.byteLength(answer.body as string)),
    'Date',
    new Date().toUTCString(),
    'Connection',
    'close',
  ];
  let head = `HTTP/1.1 ${answer.status} ${STATUS_CODES[answer.status]}\r\n`;
  for (let index = 0; index < fields.length; index += 2) head += `${fields[index]}: ${fields[index + 1]}\r\n`;
  socket.end(`${head}\r\n${answer.body as string}`, () => socket.destroy());
  publish(requestId, method, answer.status, error.code);
}

function publish(requestId: string, method: string, status: number, errorCode: ErrorCode): void {
  const event: RequestEvent = {
    requestId,
    method,
    route: 'unmatched',
    status,
    durationMs: 0,
    principal: null,
    model: null,
    version: null,
    errorCode,
    cause: null,
    timings: null,
    cache: null,
  };
  channels.request.publish(event);
}
