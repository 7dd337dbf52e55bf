import type { IncomingMessage } from 'node:http';
import { Refusal } from './refusal.ts';

/**
 * What Node's parser lets through and RFC 9112 does not. Every refusal closes the connection: where a message
 * ends is in doubt, and a proxy in front may see it otherwise (request smuggling).
 */
export function checkProtocol(request: IncomingMessage, headerCountMax: number): void {
  if (request.httpVersionMajor !== 1 || request.httpVersionMinor > 1)
    throw new Refusal('http_version_not_supported', `HTTP/${request.httpVersion} is not supported`, {
      details: 'Speak HTTP/1.1',
      closes: true,
    });
  const { rawHeaders } = request;
  if (rawHeaders.length > headerCountMax * 2)
    throw new Refusal('headers_too_large', 'The request has too many header fields', {
      details: `Expected at most ${headerCountMax} header fields, found ${rawHeaders.length / 2}`,
      closes: true,
    });
  checkSingletons(rawHeaders, request.httpVersionMinor);
  const coding = request.headers['transfer-encoding'];
  if (coding !== undefined) checkTransferCoding(coding, request.httpVersionMinor);
  const expectation = request.headers.expect;
  if (expectation !== undefined && request.httpVersionMinor === 1) checkExpectation(expectation);
}

function checkExpectation(expectation: string): void {
  if (expectation.trim().toLowerCase() === '100-continue') return;
  throw new Refusal('expectation_failed', undefined, {
    details: [{ path: 'header Expect', expected: '100-continue', found: expectation.slice(0, 80) }],
    closes: true,
  });
}

/** Fields of which a second one would make two readers disagree. The lengths spare most fields a comparison. */
function checkSingletons(rawHeaders: readonly string[], minor: number): void {
  let hosts = 0;
  let types = 0;
  for (let index = 0; index < rawHeaders.length; index += 2) {
    const name = rawHeaders[index] as string;
    if (name.length === 4 && name.toLowerCase() === 'host') hosts += 1;
    else if (name.length === 12 && name.toLowerCase() === 'content-type') types += 1;
  }
  if (hosts > 1 || types > 1) throw malformed(hosts > 1 ? 'Host' : 'Content-Type', 'one field', 'several');
  if (hosts === 0 && minor === 1) throw malformed('Host', 'one field', 'none');
}

function checkTransferCoding(coding: string, minor: number): void {
  if (minor === 0) throw malformed('Transfer-Encoding', 'no transfer coding in HTTP/1.0', coding);
  if (coding.trim().toLowerCase() !== 'chunked') throw malformed('Transfer-Encoding', 'chunked', coding);
}

function malformed(field: string, expected: string, found: string): Refusal {
  return new Refusal('invalid_input', 'The request is malformed', {
    details: [{ path: `header ${field}`, expected, found: found.slice(0, 80) }],
    closes: true,
  });
}

export interface Target {
  readonly path: string;
  /** After `?`, as it came; empty without. */
  readonly search: string;
}

const absoluteForm = /^https?:\/\/([^/?#]*)([^#]*)/i;

/**
 * Path and query of a request target. An absolute target (as a proxy sends it) must name the host that the
 * Host field names.
 */
export function parseTarget(request: IncomingMessage): Target {
  let target = request.url ?? '/';
  if (!target.startsWith('/') && target !== '*') {
    const parts = absoluteForm.exec(target);
    if (parts === null) throw malformedTarget('a path that begins with /', target);
    const host = request.headers.host;
    if (host !== undefined && parts[1]?.toLowerCase() !== host.toLowerCase())
      throw malformedTarget('the authority of the Host field', parts[1] ?? '');
    target = parts[2] === '' || parts[2] === undefined ? '/' : parts[2];
    if (target.startsWith('?')) target = `/${target}`;
  }
  const mark = target.indexOf('?');
  if (mark < 0) return { path: target, search: '' };
  return { path: target.slice(0, mark), search: target.slice(mark + 1) };
}

function malformedTarget(expected: string, found: string): Refusal {
  return new Refusal('invalid_input', 'The request target is malformed', {
    details: [{ path: 'request target', expected, found: found.slice(0, 80) }],
  });
}
