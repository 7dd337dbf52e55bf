/**
 * The closed catalogue of errors. Every failure that leaves a module is a MillraceError with one of these
 * codes; HTTP statuses are attached once, in api/http/error-handler.ts. `docs/errors.md` is held to this
 * table by a test, both ways.
 */
export const errorCatalogue = {
  invalid_input: { retryable: false, message: 'The request is not valid' },
  unauthorized: { retryable: false, message: 'Authentication required' },
  forbidden: { retryable: false, message: 'The credentials lack the scope that this call needs' },
  not_found: { retryable: false, message: 'Resource not found' },
  method_not_allowed: { retryable: false, message: 'The method is not supported here' },
  not_acceptable: { retryable: false, message: 'None of the accepted media types can be produced' },
  request_timeout: { retryable: true, message: 'The request did not arrive in time' },
  conflict: { retryable: false, message: 'The request conflicts with the current state' },
  precondition_failed: { retryable: false, message: 'A precondition of the request does not hold' },
  payload_too_large: { retryable: false, message: 'The request body is too large' },
  uri_too_long: { retryable: false, message: 'The request target is too long' },
  unsupported_media_type: {
    retryable: false,
    message: 'The media type or coding of the body is not supported',
  },
  expectation_failed: { retryable: false, message: 'The expectation cannot be met' },
  rate_limit_exceeded: { retryable: true, message: 'Rate limit exceeded' },
  headers_too_large: { retryable: false, message: 'The request headers are too large' },
  internal_error: { retryable: false, message: 'Unexpected error' },
  not_implemented: { retryable: false, message: 'The method is not implemented' },
  bad_gateway: { retryable: true, message: 'The registry or the storage answered wrongly' },
  service_unavailable: { retryable: true, message: 'Service unavailable' },
  timeout: { retryable: true, message: 'The deadline passed before the answer was ready' },
  http_version_not_supported: { retryable: false, message: 'The HTTP version is not supported' },
} as const satisfies Record<string, { retryable: boolean; message: string }>;

export type ErrorCode = keyof typeof errorCatalogue;

/** What crosses processes and queues in place of an error object, which loses class and code on the way. */
export interface ErrorRecord {
  readonly code: ErrorCode;
  readonly message: string;
  readonly details?: ErrorDetails;
}

/** One sentence, or structured places: what was wrong and where. Safe to show to the caller. */
export type ErrorDetails = string | readonly ErrorPlace[] | Readonly<Record<string, unknown>>;

export interface ErrorPlace {
  /** JSON path of the offending value from the root of the body, as in `inputs[3]` or `parameters.top_k`. */
  readonly path: string;
  readonly expected: string;
  readonly found: string;
}

export interface ErrorOptions {
  readonly details?: ErrorDetails;
  /** Seconds after which a retry makes sense: becomes Retry-After. */
  readonly retryAfterS?: number;
  /** For the log only; never shown to a caller. */
  readonly cause?: unknown;
}

const brand = Symbol.for('millrace.error');

export class MillraceError extends Error {
  readonly code: ErrorCode;
  readonly details: ErrorDetails | undefined;
  readonly retryAfterS: number | undefined;

  constructor(code: ErrorCode, message?: string, options: ErrorOptions = {}) {
    super(
      message ?? errorCatalogue[code].message,
      options.cause === undefined ? undefined : { cause: options.cause },
    );
    this.name = 'MillraceError';
    this.code = code;
    this.details = options.details;
    this.retryAfterS = options.retryAfterS;
    Object.defineProperty(this, brand, { value: true });
  }

  get retryable(): boolean {
    return errorCatalogue[this.code].retryable;
  }

  /** By brand, not by class: two copies of this module (tests, hosts) must agree. */
  static is(error: unknown): error is MillraceError {
    return typeof error === 'object' && error !== null && brand in error;
  }
}

/** Anything thrown, as a MillraceError. A stranger becomes internal_error and keeps its cause for the log. */
export function toMillraceError(error: unknown): MillraceError {
  return MillraceError.is(error) ? error : new MillraceError('internal_error', undefined, { cause: error });
}

export function toErrorRecord(error: unknown): ErrorRecord {
  const known = toMillraceError(error);
  return {
    code: known.code,
    message: known.message,
    ...(known.details === undefined ? {} : { details: known.details }),
  };
}

export function fromErrorRecord(record: ErrorRecord): MillraceError {
  const code: ErrorCode = Object.hasOwn(errorCatalogue, record.code) ? record.code : 'internal_error';
  return new MillraceError(
    code,
    record.message,
    record.details === undefined ? {} : { details: record.details },
  );
}
