export interface Backoff {
  /** Greatest pause after the first failure; it doubles with each further one. */
  readonly backoffMs: number;
  readonly backoffMsMax: number;
}

/**
 * The pause after so many failures, from 1: anything between nothing and the doubled bound, so that what failed together
 * does not come back together. Pure: `random` is from 0 to 1.
 */
export function fullJitterMs(failures: number, { backoffMs, backoffMsMax }: Backoff, random: number): number {
  // 2^30 pauses of a millisecond are more than a bound of any use.
  const bound = Math.min(backoffMs * 2 ** Math.min(failures - 1, 30), backoffMsMax);
  return Math.round(random * bound);
}
