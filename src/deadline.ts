/**
 * A deadline is an absolute instant in milliseconds, set once at the edge and carried along, so that waiting in
 * several places cannot add up to more than was asked for. The clock is the caller's. At the instant itself nothing
 * is left to work with: that counts as expired.
 */
export function isExpired(deadlineMs: number, nowMs: number): boolean {
  return nowMs >= deadlineMs;
}
