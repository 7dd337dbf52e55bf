import { once } from 'node:events';
import { connect } from 'node:net';
import type { Socket } from 'node:net';

export interface RawResponse {
  readonly status: number;
  readonly head: string;
  /** Lower-case names; the last of several. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

export interface RawOptions {
  /** Ends the sending side once all is written: the request is cut short there. */
  readonly halfClose?: boolean;
  /** The answer has no body although it says how long one would be. */
  readonly head?: boolean;
  /** Bytes to write once the first answer line (as 100 Continue) has come. */
  readonly afterFirstLine?: string;
}

/** Writes the bytes as they are and reads one final response. Rejects when the connection ends before it. */
export async function sendRaw(
  port: number,
  bytes: string | Uint8Array,
  options: RawOptions = {},
): Promise<RawResponse> {
  const socket = connect(port, '127.0.0.1');
  await once(socket, 'connect');
  try {
    const response = readResponse(socket, options);
    socket.write(bytes);
    if (options.halfClose === true) socket.end();
    return await response;
  } finally {
    socket.destroy();
  }
}

/** The next final response on a connection; the caller writes. */
export function readResponse(socket: Socket, options: RawOptions = {}): Promise<RawResponse> {
  return new Promise((resolve, reject) => {
    let text = '';
    let follow = options.afterFirstLine;
    const finish = (response: RawResponse): void => {
      socket.off('data', onData).off('close', onClose).off('error', onError);
      resolve(response);
    };
    const onData = (chunk: Buffer): void => {
      text += chunk.toString('latin1');
      if (follow !== undefined && text.includes('\r\n')) {
        socket.write(follow);
        follow = undefined;
      }
      while (/^HTTP\/1\.1 1\d\d /.test(text) && text.includes('\r\n\r\n'))
        text = text.slice(text.indexOf('\r\n\r\n') + 4);
      const response = parse(text, options.head === true);
      if (response !== undefined) finish(response);
    };
    const onClose = (): void =>
      reject(new Error(`the connection ended before a response: ${JSON.stringify(text)}`));
    const onError = (error: Error): void => {
      if (text === '') reject(error);
    };
    socket.on('data', onData).on('close', onClose).on('error', onError);
  });
}

function parse(text: string, headOnly: boolean): RawResponse | undefined {
  const end = text.indexOf('\r\n\r\n');
  if (end < 0) return undefined;
  const [statusLine = '', ...lines] = text.slice(0, end).split('\r\n');
  const headers: Record<string, string> = {};
  for (const line of lines) {
    const colon = line.indexOf(':');
    headers[line.slice(0, colon).toLowerCase()] = line.slice(colon + 1).trim();
  }
  const length = headOnly ? 0 : Number(headers['content-length'] ?? 0);
  const body = Buffer.from(text.slice(end + 4), 'latin1');
  if (body.byteLength < length) return undefined;
  return {
    status: Number(statusLine.split(' ')[1]),
    head: text.slice(0, end),
    headers,
    body: body.subarray(0, length).toString('utf8'),
  };
}
