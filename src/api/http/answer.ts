/** What a handler gives back, ready to be written in one piece. */
export interface Answer {
  readonly status: number;
  /** Flat name, value pairs; the security headers, `X-Request-Id` and `Content-Length` come from the exchange. */
  readonly headers: readonly string[];
  readonly body: string | Uint8Array;
}

export const jsonType = 'application/json';

/** Answers to credentials are nobody else's: no cache may keep them. */
const jsonHeaders = ['Content-Type', jsonType, 'Cache-Control', 'no-store'] as const;

export function jsonAnswer(status: number, value: unknown, headers: readonly string[] = []): Answer {
  return { status, headers: [...jsonHeaders, ...headers], body: JSON.stringify(value) };
}
