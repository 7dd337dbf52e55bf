import { setTimeout as delay } from 'node:timers/promises';
import { UserError } from './user-error.ts';

export interface ReadinessOptions {
  readonly apiUrl: string;
  readonly apiKey: string;
  readonly signal: AbortSignal;
}

/** The example of the predict documentation: five named features, of which the default model has just these. */
export const exampleBody =
  '{"inputs": [1.5, 2.0, 3.1, 4.2, 5.0], "parameters": {"return_probability": true}}';

/** A first start loads five models on a slow disk; past this something is wrong that waiting does not mend. */
const readyTimeoutMs = 60_000;
const pollMs = 25;
const requestTimeoutMs = 5_000;

/**
 * Asks until the API is ready and then until a prediction is answered: only that shows that API, Redis, worker
 * and model are all up. An answer other than 503 and 504 counts, since the default model may be somebody's own.
 */
export async function waitUntilAnswering(options: ReadinessOptions): Promise<void> {
  const overall = AbortSignal.timeout(readyTimeoutMs);
  const signal = AbortSignal.any([options.signal, overall]);
  const request = {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'x-api-key': options.apiKey },
    body: exampleBody,
  };
  const isAnswered = async (path: string, init: RequestInit) => {
    const { status } = await ask(`${options.apiUrl}${path}`, init, signal);
    return status !== 503 && status !== 504;
  };
  try {
    await until(() => isAnswered('/readyz', {}), signal);
    await until(() => isAnswered('/api/v1/predict', request), signal);
  } catch (error) {
    if (!overall.aborted) throw error;
    throw new UserError(`No prediction was answered within ${readyTimeoutMs / 1000} s; the logs say more.`);
  }
}

/** Asks again and again until the answer is yes; an error counts as no. Rejects when the signal aborts. */
export async function until(question: () => Promise<boolean>, signal: AbortSignal): Promise<void> {
  while (!(await question().catch(() => false))) await delay(pollMs, undefined, { signal });
  signal.throwIfAborted();
}

async function ask(url: string, request: RequestInit, signal: AbortSignal): Promise<Response> {
  const bounded = AbortSignal.any([signal, AbortSignal.timeout(requestTimeoutMs)]);
  const response = await fetch(url, { ...request, signal: bounded });
  // Read to the end, so that the connection is free again.
  await response.arrayBuffer();
  return response;
}
