import { once } from 'node:events';
import { createServer } from 'node:http';
import type { RequestListener, Server } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { setImmediate as turnOver } from 'node:timers/promises';
import { exchangeOn } from './exchange.ts';
import { refuseOutsideApp } from './refused.ts';
import { Refusal } from './refusal.ts';

export interface HttpServerOptions {
  readonly headerBytesMax: number;
  readonly headersTimeoutMs: number;
  /** From the head of a request to the end of its body, unless the exchange has a time limit of its own. */
  readonly requestTimeoutMs: number;
  /** Longer than a proxy's idle time (60 s is usual), or the proxy may send into a connection that just closed. */
  readonly keepAliveTimeoutMs: number;
}

/** How often connections past their limits are looked for: a limit may be overrun by this much. */
const connectionsCheckMs = 1000;
/** A connection that was made just now may have its first request under way. */
const unusedMs = 100;
/** Under a storm of connections no turn is quiet: then some are reset. */
const quietTurnCountMax = 100;

/** A server that answers everything in the envelope. */
export class HttpServer {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  readonly #requestTimeoutMs: number;
  #acceptedCount = 0;
  #watch: NodeJS.Timeout | undefined;

  constructor(app: RequestListener, options: HttpServerOptions) {
    this.#requestTimeoutMs = options.requestTimeoutMs;
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
    this.#watch = setInterval(this.#endOverdue, connectionsCheckMs);
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
    clearInterval(this.#watch);
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

  /**
   * Node's own limit for whole requests knows no exceptions, and an upload may take hours. So it is off, and this looks
   * at the connections from time to time, which costs a request nothing.
   */
  readonly #endOverdue = (): void => {
    const dueMs = performance.now() - this.#requestTimeoutMs;
    for (const socket of this.#sockets) {
      const exchange = exchangeOn(socket);
      if (exchange === undefined || exchange.request.complete || exchange.startedAtMs > dueMs) continue;
      if (exchange.open && exchange.hasOwnTimeLimit) continue;
      if (exchange.open) exchange.fail(tooSlow());
      // Answered, and its body still does not come to an end.
      else socket.destroy();
    }
  };

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
      requestTimeout: 0,
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

function tooSlow(): Refusal {
  return new Refusal('request_timeout', undefined, { closes: true, details: 'Too slow' });
}
