import { once } from 'node:events';
import { createServer } from 'node:http';
import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';

export interface Received {
  readonly method: string;
  readonly url: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

export type Respond = (response: ServerResponse, request: IncomingMessage) => void;

/** A server on a loopback address that keeps what it is sent. */
export interface Receiver {
  readonly url: string;
  readonly port: number;
  readonly received: readonly Received[];
  readonly connectionCount: number;
  /** What it does with the next requests. At first: 204. */
  respond: Respond;
  /** Resolves once it has received so many requests. */
  has(count: number): Promise<void>;
  close(): Promise<void>;
}

export function answering(status: number, headers: Readonly<Record<string, string>> = {}): Respond {
  return (response) => void response.writeHead(status, headers).end();
}

export async function startReceiver(host = '127.0.0.1', port = 0): Promise<Receiver> {
  const received: Received[] = [];
  const waiting = new Set<() => void>();
  let connectionCount = 0;
  const server = createServer((request, response) => {
    void text(request).then((body) => {
      const { method = '', url = '', headers } = request;
      received.push({ method, url, headers, body });
      receiver.respond(response, request);
      for (const look of waiting) look();
    });
  });
  server.on('connection', () => (connectionCount += 1));
  server.listen(port, host);
  await once(server, 'listening');
  const actual = (server.address() as AddressInfo).port;
  const receiver: Receiver = {
    url: `http://${host}:${actual}/hook`,
    port: actual,
    received,
    get connectionCount() {
      return connectionCount;
    },
    respond: answering(204),
    has: (count) =>
      new Promise((resolve) => {
        const look = () => {
          if (received.length < count) return;
          waiting.delete(look);
          resolve();
        };
        waiting.add(look);
        look();
      }),
    close: async () => {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
  return receiver;
}
