import { expect } from 'chai';
import { MillraceError } from '../../src/errors.ts';
import type { ErrorCode, ErrorPlace } from '../../src/errors.ts';

/** The MillraceError that `act` throws, which must have the code. */
export function refusalOf(act: () => unknown, code: ErrorCode = 'invalid_input'): MillraceError {
  try {
    act();
  } catch (error) {
    if (!MillraceError.is(error)) throw error;
    expect(error.code, error.message).to.equal(code);
    return error;
  }
  throw new Error('nothing was refused');
}

/** The places in the details of what `act` throws. */
export function placesOf(act: () => unknown): readonly ErrorPlace[] {
  return refusalOf(act).details as readonly ErrorPlace[];
}
