import type { IncomingMessage, ServerResponse } from 'node:http';

/** Long enough for a client on a slow line to see the answer, short enough not to be a way to hold connections. */
const lingerMs = 500;
/** What a client has under way when it is refused: about 10 ms of reading; four times the default body limit. */
const lingerBytesMax = 16_777_216;

/**
 * Ends a response whose request body is not wanted. Closing a socket with unread bytes resets it, and the
 * client may then lose the answer; so the answer is sent at once and the body is read and thrown away, for a
 * bounded time and a bounded length, before the connection is closed. The head must be written already, with
 * `Content-Length` and `Connection: close`.
 */
export function lingerThenEnd(
  request: IncomingMessage,
  response: ServerResponse,
  body: string | Uint8Array,
): void {
  let bytes = 0;
  const end = (): void => {
    clearTimeout(timer);
    request.removeAllListeners('data');
    response.end();
  };
  const timer = setTimeout(end, lingerMs);
  response.write(body);
  request.removeAllListeners('data');
  request.on('data', (chunk: Buffer) => {
    bytes += chunk.byteLength;
    if (bytes > lingerBytesMax) end();
  });
  // Whoever read it before may have paused it.
  request.resume();
  request.once('end', end);
  request.once('close', end);
}
