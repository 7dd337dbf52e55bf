const baseMs = 500;
/** With five attempts a server that is restarted, which takes some seconds, is waited for. */
const capMs = 10_000;
/** A server that asks for more patience than this gets its answer shown: a person may decide. */
export const retryAfterMsMax = 60_000;

/**
 * Exponential backoff with full jitter, from 500 ms to 10 s, and never sooner than the server asked for.
 * `attempt` counts from 0; `random` is from [0, 1).
 */
export function retryDelayMs(attempt: number, retryAfterMs: number | null, random: number): number {
  const backoffMs = Math.round(Math.min(capMs, baseMs * 2 ** attempt) * random);
  return Math.max(backoffMs, retryAfterMs ?? 0);
}

/** Seconds, the form that Millrace sends; a date, which proxies may send, counts as no wish. */
export function parseRetryAfter(header: string | undefined): number | null {
  return header !== undefined && /^\d{1,6}$/.test(header) ? Number(header) * 1000 : null;
}
