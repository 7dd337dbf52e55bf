import { once } from 'node:events';
import { request as requestHttp } from 'node:http';
import type { ClientRequest, IncomingMessage, OutgoingHttpHeaders } from 'node:http';
import { request as requestHttps } from 'node:https';
import type { Readable } from 'node:stream';
import { exitCodes } from './exit-code.ts';
import { CommandError } from './failures.ts';

/**
 * A body that is read while it is sent, no faster than the server takes it. `sizeBytes` is null where nobody knows.
 */
export interface StreamedBody {
  readonly sizeBytes: number | null;
  open(): Readable;
  /** Told of the bytes of each piece that has left. */
  onSent(byteCount: number): void;
}

export interface HttpCall {
  readonly method: string;
  readonly url: URL;
  readonly headers: OutgoingHttpHeaders;
  readonly body: string | StreamedBody | null;
  readonly signal: AbortSignal;
  /** A connection on which nothing moves for this long is given up. */
  readonly idleTimeoutMs: number;
}

/**
 * A server that has nothing against a request says so at once (100 Continue); one that keeps silent, or a proxy that
 * knows nothing of it, gets the body all the same.
 */
const continueWaitMs = 1_000;

/**
 * One request of HTTP/1.1; resolves with the head of the answer, whose body is still to be read. By node:http rather
 * than fetch: fetch gives up an upload for which the server holds back its answer for five minutes, and can neither be
 * told otherwise nor wait for 100 Continue, so that a refused upload would have been read from stdin in vain.
 */
export async function send(call: HttpCall): Promise<IncomingMessage> {
  const { body, headers, method, url, signal, idleTimeoutMs } = call;
  const request = (url.protocol === 'https:' ? requestHttps : requestHttp)(url, {
    method,
    signal,
    headers: { ...headers, ...bodyHeaders(body) },
  });
  request.setTimeout(idleTimeoutMs, () =>
    request.destroy(new Error(`nothing came for ${idleTimeoutMs / 1000} s`)),
  );
  const answer = new Promise<IncomingMessage>((resolve, reject) => {
    request.once('response', resolve);
    request.once('error', reject);
  });
  if (body === null || typeof body === 'string') request.end(body ?? undefined);
  else if (await mayContinue(request, answer)) void upload(body, request, answer);
  return answer;
}

function bodyHeaders(body: HttpCall['body']): OutgoingHttpHeaders {
  if (body === null) return {};
  if (typeof body === 'string') return { 'content-length': Buffer.byteLength(body) };
  const length = body.sizeBytes === null ? {} : { 'content-length': body.sizeBytes };
  return { expect: '100-continue', ...length };
}

/** False once an answer has come first. Rejects when the connection fails. */
async function mayContinue(request: ClientRequest, answer: Promise<IncomingMessage>): Promise<boolean> {
  request.flushHeaders();
  let timer: NodeJS.Timeout | undefined;
  const silence = new Promise<boolean>((resolve) => {
    // Counted from the connection on: until then it is the connection that is slow.
    const start = () => (timer = setTimeout(() => resolve(true), continueWaitMs));
    request.once('socket', (socket) => (socket.connecting ? socket.once('connect', start) : start()));
  });
  const goAhead = new Promise<boolean>((resolve) => request.once('continue', () => resolve(true)));
  try {
    return await Promise.race([answer.then(() => false), goAhead, silence]);
  } finally {
    clearTimeout(timer);
  }
}

/**
 * An answer of refusal ends the upload, also while it waits for its source or for room; then the connection, on which
 * the server expects the rest, serves no other request. A failure of the source fails the request with its own error.
 */
async function upload(
  body: StreamedBody,
  request: ClientRequest,
  answer: Promise<IncomingMessage>,
): Promise<void> {
  const source = body.open();
  let isStopped = false;
  const stop = () => {
    isStopped = true;
    source.destroy();
    request.emit('drain');
  };
  answer.then((message) => {
    if ((message.statusCode ?? 0) < 400) return;
    stop();
    message.once('close', () => request.destroy());
  }, stop);
  let sourceError: Error | undefined;
  source.once('error', (error) => (sourceError = error));
  try {
    for await (const chunk of source as AsyncIterable<Buffer>) {
      if (!request.write(chunk)) await once(request, 'drain');
      body.onSent(chunk.length);
    }
    request.end();
  } catch (error) {
    if (!isStopped) request.destroy(error === sourceError ? unreadable(error) : (error as Error));
  }
}

function unreadable(error: unknown): CommandError {
  if (error instanceof CommandError) return error;
  return new CommandError(
    exitCodes.failed,
    `The rows could not be read to their end (${(error as Error).message})`,
  );
}
