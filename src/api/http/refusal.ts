import { MillraceError } from '../../errors.ts';
import type { ErrorCode, ErrorOptions } from '../../errors.ts';

export interface RefusalOptions extends ErrorOptions {
  /** Flat name, value pairs that the answer carries besides the usual ones. */
  readonly headers?: readonly string[];
  /** The connection cannot be used again: its framing is in doubt, or the rest of a body is not wanted. */
  readonly closes?: boolean;
}

/** An error that HTTP itself asks for: it knows which headers its answer needs. */
export class Refusal extends MillraceError {
  readonly headers: readonly string[];
  readonly closes: boolean;

  constructor(code: ErrorCode, message?: string, options: RefusalOptions = {}) {
    super(code, message, options);
    this.headers = options.headers ?? [];
    this.closes = options.closes ?? false;
  }
}
