/** The first restart comes at once to the eye; a child that cannot start costs one attempt each 10 s. */
const delayMsMin = 250;
const delayMsMax = 10_000;
/** A child that lived this long was well: its next death starts the row again. */
const stableAfterMs = 30_000;

export interface RestartDelay {
  /** Milliseconds to wait before the restart of a child that lived for `livedMs`: 250, 500, … 10,000. */
  next(livedMs: number): number;
}

export function createRestartDelay(): RestartDelay {
  let deaths = 0;
  return {
    next(livedMs) {
      if (livedMs >= stableAfterMs) deaths = 0;
      const delay = Math.min(delayMsMin * 2 ** deaths, delayMsMax);
      deaths = Math.min(deaths + 1, 16);
      return delay;
    },
  };
}
