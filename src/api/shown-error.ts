import { errorCatalogue } from '../errors.ts';
import type { ErrorCode, ErrorDetails, ErrorRecord } from '../errors.ts';

/** What a caller sees of an error: of a request, of a row, of a batch. */
export interface ShownError {
  readonly code: ErrorCode;
  readonly message: string;
  readonly details: ErrorDetails | null;
}

/** Codes whose own words may hold what a dependency said: callers get the catalogue's sentence instead. */
const guarded: ReadonlySet<ErrorCode> = new Set(['internal_error', 'bad_gateway']);

export function shownError({ code, message, details }: ErrorRecord): ShownError {
  return guarded.has(code)
    ? { code, message: errorCatalogue[code].message, details: null }
    : { code, message, details: details ?? null };
}
