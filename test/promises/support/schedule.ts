import { setTimeout as delay } from 'node:timers/promises';

/** The long versions of the promises take about twenty minutes: `npm run test:long`. */
const isLong = process.env['MILLRACE_LONG'] === '1';

/** A size of a test: the one that runs with all the others, and the one that proves more. */
export function sized<Size>(short: Size, long: Size): Size {
  return isLong ? long : short;
}

/** Acts so often, each time `intervalMs` after it acted before, or at once where that took longer. */
export async function repeat(
  times: number,
  intervalMs: number,
  act: (time: number) => Promise<void>,
): Promise<void> {
  for (let time = 0; time < times; time++) {
    const interval = delay(intervalMs);
    await act(time);
    await interval;
  }
}

/** For how long something stays broken. */
export function lasting(durationMs: number): Promise<void> {
  return delay(durationMs);
}
