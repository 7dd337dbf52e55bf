import { MillraceError } from '../errors.ts';

/** Long enough for a reconnect (retry delay of at most 1 s), short enough that a client still wants its answer. */
const retryAfterS = 1;

/**
 * What a failed Redis command means to a caller: Redis is out of reach, is too slow, is full or refuses writes.
 * All of these pass, so all are `service_unavailable`.
 */
export function redisUnavailable(cause: unknown): MillraceError {
  return MillraceError.is(cause)
    ? cause
    : new MillraceError('service_unavailable', 'The queue is out of reach', { retryAfterS, cause });
}
