import { MillraceError } from '../errors.ts';
import type { BatchEntry, DroppedEntry } from './batch-former.ts';

/** What a request is told that was dropped before it left. */
export function dropError({ entry: { signal }, reason }: DroppedEntry<BatchEntry>): unknown {
  if (reason === 'cancelled') return signal?.reason;
  return reason === 'expired' ? new MillraceError('timeout') : lateError(0);
}

/** `drainMs`: until what is ahead of it will have left. */
export function lateError(drainMs: number): MillraceError {
  return unavailable('The request could not be served in time', drainMs / 1000);
}

export function unavailable(message: string, retryAfterS = 1): MillraceError {
  return new MillraceError('service_unavailable', message, { retryAfterS: Math.max(1, retryAfterS) });
}
