/** What a handler gives back, ready to be written in one piece. */
export interface Answer {
  readonly status: number;
  /** Flat name, value pairs; the security headers, `X-Request-Id` and `Content-Length` come from the exchange. */
  readonly headers: readonly string[];
  readonly body: string | Uint8Array;
}

/** An answer whose body is made while it is sent, as fast as the client takes it. */
export interface StreamedAnswer {
  readonly status: number;
  /** As those of Answer; there is no `Content-Length`. */
  readonly headers: readonly string[];
  /**
   * Not begun for HEAD, nor when the client left before. What it throws cuts the connection, since the status is out:
   * so the client sees that something is missing. Waits within it must heed the exchange's signal.
   */
  readonly pieces: AsyncIterable<string>;
}

export const jsonType = 'application/json';

/** Answers to credentials are nobody else's: no cache may keep them. */
const jsonHeaders = ['Content-Type', jsonType, 'Cache-Control', 'no-store'] as const;

export function jsonAnswer(status: number, value: unknown, headers: readonly string[] = []): Answer {
  return { status, headers: [...jsonHeaders, ...headers], body: JSON.stringify(value) };
}
