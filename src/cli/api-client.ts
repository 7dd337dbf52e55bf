import type { IncomingMessage } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import { CommandError, readRefusal, RefusedError, UnreachableError } from './failures.ts';
import { send } from './http-call.ts';
import type { HttpCall, StreamedBody } from './http-call.ts';
import { parseRetryAfter, retryAfterMsMax, retryDelayMs } from './retry-delay.ts';

export interface ApiClientOptions {
  /** Without a path. */
  readonly baseUrl: URL;
  readonly apiKey: string | null;
  /** Attempts after the first. */
  readonly retryCount: number;
  readonly signal: AbortSignal;
  /** Says that, and why, a call is made again. */
  readonly onRetry: (sentence: string) => void;
}

/**
 * A call that may be made again when it failed on the way: every GET and DELETE may, and a POST may because it
 * carries an Idempotency-Key. So `repeatable` is false only for a body that is gone once it was read.
 */
export interface ApiCall {
  readonly method: 'GET' | 'POST' | 'DELETE';
  /** From the root, with its query. */
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** A record is sent as JSON. */
  readonly body?: Readonly<Record<string, unknown>> | StreamedBody;
  readonly repeatable?: () => boolean;
}

/** Longer than the API lets a connection rest: server-sent events have a heartbeat, and answers come within 60 s. */
const idleTimeoutMs = 90_000;
/** 504 is an answer: the deadline of the caller has passed. */
const transientStatuses: ReadonlySet<number> = new Set([429, 502, 503]);
/** With Retry-After: the first request of this Idempotency-Key is still at work, and its answer will be ours. */
const conflictStatus = 409;
/** What an envelope can take; a proxy's page may be of any length. */
const refusalBytesMax = 65_536;

export class ApiClient {
  readonly baseUrl: URL;
  readonly #options: ApiClientOptions;

  constructor(options: ApiClientOptions) {
    this.baseUrl = options.baseUrl;
    this.#options = options;
  }

  /**
   * The body of an answer of success, parsed. Throws RefusedError or UnreachableError once no attempt is left, and
   * whatever the source of the body throws.
   */
  async json<T>(call: ApiCall): Promise<T> {
    const text = await readText(await this.open(call), Infinity);
    try {
      return JSON.parse(text) as T;
    } catch {
      throw new UnreachableError(
        `${this.baseUrl.origin} answers, but not as Millrace does: is it the right --url?`,
      );
    }
  }

  /** An answer of success with its body unread. Throws as `json` does. */
  async open(call: ApiCall): Promise<IncomingMessage> {
    const { retryCount, signal, onRetry } = this.#options;
    for (let attempt = 0; ; attempt += 1) {
      const outcome = await this.#attempt(call);
      if ('answer' in outcome) return outcome.answer;
      const { error, retryAfterMs, transient } = outcome;
      if (!transient || attempt >= retryCount || (retryAfterMs ?? 0) > retryAfterMsMax) throw error;
      if (call.repeatable?.() === false)
        throw new CommandError(
          error.exitCode,
          `${error.message}, and what came from a pipe cannot be sent again`,
        );
      const delayMs = retryDelayMs(attempt, retryAfterMs, Math.random());
      onRetry(`${error.message}; trying again in ${(delayMs / 1000).toFixed(1)} s`);
      await delay(delayMs, undefined, { signal });
    }
  }

  async #attempt(call: ApiCall): Promise<Attempt> {
    let answer: IncomingMessage;
    try {
      answer = await send(this.#httpCall(call));
    } catch (error) {
      return this.#failedAttempt(error);
    }
    const status = answer.statusCode ?? 0;
    if (status < 400) return { answer };
    const refusal = readRefusal(status, await readText(answer, refusalBytesMax));
    const retryAfterMs = parseRetryAfter(answer.headers['retry-after']);
    return {
      error: new RefusedError(refusal),
      transient: transientStatuses.has(status) || (status === conflictStatus && retryAfterMs !== null),
      retryAfterMs,
    };
  }

  /** An error of the connection; one that knows its exit code, as of rows that cannot be read, is thrown on. */
  #failedAttempt(error: unknown): Attempt {
    const { code = '', message } = error as NodeJS.ErrnoException;
    if (this.#options.signal.aborted || error instanceof CommandError) throw error;
    const why = code === '' || message.includes(code) ? message : `${code}: ${message}`;
    return {
      error: new UnreachableError(`${this.baseUrl.origin} cannot be reached (${why})`),
      transient: true,
      retryAfterMs: null,
    };
  }

  #httpCall({ method, path, headers = {}, body }: ApiCall): HttpCall {
    const { apiKey, signal } = this.#options;
    const json = body !== undefined && !isStreamed(body);
    return {
      method,
      url: new URL(path, this.baseUrl),
      signal,
      idleTimeoutMs,
      headers: {
        accept: 'application/json',
        'user-agent': 'millrace-cli',
        ...(apiKey === null ? {} : { 'x-api-key': apiKey }),
        ...(json ? { 'content-type': 'application/json' } : {}),
        ...headers,
      },
      body: body === undefined ? null : json ? JSON.stringify(body) : (body as StreamedBody),
    };
  }
}

type Attempt =
  | { readonly answer: IncomingMessage }
  | {
      readonly error: RefusedError | UnreachableError;
      readonly transient: boolean;
      readonly retryAfterMs: number | null;
    };

function isStreamed(body: NonNullable<ApiCall['body']>): body is StreamedBody {
  return typeof body['open'] === 'function';
}

async function readText(answer: IncomingMessage, bytesMax: number): Promise<string> {
  const chunks: Buffer[] = [];
  let length = 0;
  try {
    for await (const chunk of answer as AsyncIterable<Buffer>) {
      chunks.push(chunk);
      length += chunk.length;
      if (length >= bytesMax) break;
    }
  } catch (error) {
    throw new UnreachableError(`The answer broke off (${(error as Error).message})`);
  }
  return Buffer.concat(chunks).toString('utf8');
}
