import { toErrorRecord, toMillraceError } from '../../errors.ts';
import type { ErrorCode, MillraceError } from '../../errors.ts';
import { shownError } from '../shown-error.ts';
import { jsonAnswer } from './answer.ts';
import type { Answer } from './answer.ts';
import { Refusal } from './refusal.ts';

/** The one map from codes to statuses; the compiler keeps it complete. */
export const statusByCode: Readonly<Record<ErrorCode, number>> = {
  invalid_input: 400,
  unauthorized: 401,
  forbidden: 403,
  not_found: 404,
  method_not_allowed: 405,
  not_acceptable: 406,
  request_timeout: 408,
  conflict: 409,
  precondition_failed: 412,
  payload_too_large: 413,
  uri_too_long: 414,
  unsupported_media_type: 415,
  expectation_failed: 417,
  rate_limit_exceeded: 429,
  headers_too_large: 431,
  internal_error: 500,
  not_implemented: 501,
  bad_gateway: 502,
  service_unavailable: 503,
  timeout: 504,
  http_version_not_supported: 505,
};

/** Both ways in, so that a client that knows either can go on. */
const challenge = 'ApiKey realm="millrace", Bearer realm="millrace"';

/** The envelope for anything thrown. A stack, a cause and a dependency's message stay behind, for the log. */
export function errorAnswer(thrown: unknown, requestId: string): Answer {
  const error = toMillraceError(thrown);
  const envelope = { error: { ...shownError(toErrorRecord(error)), request_id: requestId } };
  return jsonAnswer(statusByCode[error.code], envelope, errorHeaders(error));
}

function errorHeaders(error: MillraceError): string[] {
  const headers = error instanceof Refusal ? [...error.headers] : [];
  if (error.code === 'unauthorized') headers.push('WWW-Authenticate', challenge);
  if (error.code === 'service_unavailable')
    headers.push('Retry-After', String(retryAfterS(error.retryAfterS ?? 1, Math.random())));
  if (error.code === 'conflict' && error.retryAfterS !== undefined)
    headers.push('Retry-After', String(retryAfterS(error.retryAfterS, Math.random())));
  // Not spread: nobody else waits for this caller's tokens, and it is the `t` of RateLimit.
  if (error.code === 'rate_limit_exceeded') headers.push('Retry-After', String(error.retryAfterS ?? 1));
  return headers;
}

/** Whole seconds, at least one, spread by half as much again so that refused clients do not return together. */
function retryAfterS(seconds: number, random: number): number {
  return Math.max(1, Math.ceil(seconds + random * Math.max(1, seconds / 2)));
}
