import { once } from 'node:events';
import { createServer } from 'node:http';
import type { RequestListener, Server } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { setImmediate as turnOver } from 'node:timers/promises';
import { refuseOutsideApp } from './refused.ts';

export interface HttpServerOptions {
  readonly headerBytesMax: number;
  readonly headersTimeoutMs: number;
  readonly requestTimeoutMs: number;
  /** Longer than a proxy's idle time (60 s is usual), or the proxy may send into a connection that just closed. */
  readonly keepAliveTimeoutMs: number;
}

/** How often Node looks for connections past their limits: a limit may be overrun by this much. */
const connectionsCheckMs = 1000;
/** A connection that was made just now may have its first request under way. */
const unusedMs = 100;
/** Under a storm of connections no turn is quiet: then some are reset. */
const quietTurnCountMax = 100;

/** A server that answers everything in the envelope. */
export class HttpServer {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #acceptedCount = 0;

  constructor(app: RequestListener, options: HttpServerOptions) {
    this.#server = createNodeServer(app, options);
    this.#server.on('connection', (socket: Socket) => {
      this.#acceptedCount += 1;
      this.#sockets.add(socket);
      socket.once('close', () => this.#sockets.delete(socket));
    });
  }

  /** Resolves with the port once it accepts. Rejects when the address is taken. */
  async listen(host: string, port: number): Promise<number> {
    this.#server.listen(port, host);
    await once(this.#server, 'listening');
    return (this.#server.address() as AddressInfo).port;
  }

  /**
   * Stops accepting, closes idle connections and waits for those at work; after `graceMs` these are cut.
   * Answers must carry `Connection: close` by then (Dispatcher.drain), or keep-alive would hold them open.
   */
  async close(graceMs: number): Promise<void> {
    await this.#quietTurn();
    const closed = once(this.#server, 'close');
    this.#server.close();
    const unused = setTimeout(this.#closeUnused, Math.min(unusedMs, graceMs));
    const timer = setTimeout(() => this.#server.closeAllConnections(), graceMs);
    await closed;
    clearTimeout(unused);
    clearTimeout(timer);
  }

  /**
   * Connections that the system has taken but this process has not are reset when listening ends. So it ends
   * right behind a turn of the event loop that brought none.
   */
  async #quietTurn(): Promise<void> {
    for (let turn = 0; turn < quietTurnCountMax; turn += 1) {
      const before = this.#acceptedCount;
      // oxlint-disable-next-line no-await-in-loop
      await turnOver();
      if (this.#acceptedCount === before) return;
    }
  }

  /** Node does not count a connection as idle that never sent anything, as browsers and balancers keep some. */
  readonly #closeUnused = (): void => {
    for (const socket of this.#sockets) if (socket.bytesRead === 0) socket.destroy();
  };
}

function createNodeServer(app: RequestListener, options: HttpServerOptions): Server {
  const server = createServer(
    {
      maxHeaderSize: options.headerBytesMax,
      headersTimeout: options.headersTimeoutMs,
      requestTimeout: options.requestTimeoutMs,
      keepAliveTimeout: options.keepAliveTimeoutMs,
      connectionsCheckingInterval: connectionsCheckMs,
      // Checked in protocol.ts, which answers in the envelope.
      requireHostHeader: false,
      noDelay: true,
    },
    app,
  );
  // Beyond a number Node drops headers silently; so it keeps all, and protocol.ts counts.
  server.maxHeadersCount = 0;
  // The body reader sends the 100 once the request has passed what can be checked without its body.
  server.on('checkContinue', app);
  // Other expectations are refused by protocol.ts.
  server.on('checkExpectation', app);
  refuseOutsideApp(server, options.headerBytesMax);
  return server;
}
