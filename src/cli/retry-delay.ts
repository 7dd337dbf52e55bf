const baseMs = 500;
/** With five attempts a server that is restarted, which takes some seconds, is waited for: 8 to 16 s in all. */
const capMs = 10_000;
/** A server that asks for more patience than this gets its answer shown: a person may decide. */
export const retryAfterMsMax = 60_000;

/**
 * Exponential backoff from 500 ms to 10 s, the upper half of it by chance, and never sooner than the server asked for.
 * Not by chance alone: few attempts must not be over in no time. `attempt` counts from 0; `random` is from [0, 1).
 */
export function retryDelayMs(attempt: number, retryAfterMs: number | null, random: number): number {
  const fullMs = Math.min(capMs, baseMs * 2 ** attempt);
  return Math.max(Math.round((fullMs * (1 + random)) / 2), retryAfterMs ?? 0);
}

/** Seconds, the form that Millrace sends; a date, which proxies may send, counts as no wish. */
export function parseRetryAfter(header: string | undefined): number | null {
  return header !== undefined && /^\d{1,6}$/.test(header) ? Number(header) * 1000 : null;
}
