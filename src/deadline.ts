/**
 * A deadline is an absolute instant in milliseconds, set once at the edge and carried along, so that waiting in
 * several places cannot add up to more than was asked for. The clock is the caller's: these functions are pure.
 */
export function deadlineAfter(timeoutMs: number, nowMs: number): number {
  return nowMs + timeoutMs;
}

/** Milliseconds left; 0 once it has passed, never less. */
export function remainingMs(deadlineMs: number, nowMs: number): number {
  return Math.max(0, deadlineMs - nowMs);
}

/** At the instant itself nothing is left to work with: that counts as expired. */
export function isExpired(deadlineMs: number, nowMs: number): boolean {
  return nowMs >= deadlineMs;
}
