import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { channels } from '../channels.ts';
import type { FaultEvent, NoticeEvent } from '../channels.ts';
import { errorCatalogue } from '../errors.ts';
import type { ErrorCode } from '../errors.ts';
import type { Metrics } from './metrics.ts';

export interface AdminServerOptions {
  readonly host: string;
  /** 0 for any free port. A port that is taken is replaced by a free one, with a notice. */
  readonly port: number;
  readonly metrics: Metrics;
  /** Why the process should get no work, in one word or few; undefined when it is ready. */
  readonly unreadyReason: () => string | undefined;
}

export interface AdminServer {
  readonly port: number;
  close(): Promise<void>;
}

/**
 * `/metrics`, `/livez` and `/readyz` of a process, on its own port: no authentication, so a loopback or private
 * address. Liveness is that the event loop answers. Throws what `listen` throws, but for a port that is taken.
 */
export async function startAdminServer(options: AdminServerOptions): Promise<AdminServer> {
  const server = createServer((request, response) => {
    answer(options, request, response).catch((error: unknown) => {
      const fault: FaultEvent = { component: 'admin-server', message: 'a request failed', error };
      channels.fault.publish(fault);
      if (response.headersSent) response.destroy();
      else sendError(response, 500, 'internal_error');
    });
  });
  const port = await listen(server, options.host, options.port);
  const notice: NoticeEvent = { component: 'admin-server', message: `listening on ${options.host}:${port}` };
  channels.notice.publish(notice);
  return {
    port,
    async close() {
      const closed = once(server, 'close');
      server.close();
      server.closeAllConnections();
      await closed;
    },
  };
}

async function listen(server: Server, host: string, port: number): Promise<number> {
  try {
    server.listen(port, host);
    await once(server, 'listening');
  } catch (error) {
    if (port === 0 || (error as NodeJS.ErrnoException).code !== 'EADDRINUSE') throw error;
    const notice: NoticeEvent = {
      component: 'admin-server',
      message: `port ${port} is taken: any free one is used instead`,
    };
    channels.notice.publish(notice);
    return listen(server, host, 0);
  }
  return (server.address() as AddressInfo).port;
}

async function answer(
  { metrics, unreadyReason }: AdminServerOptions,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const path = request.url?.split('?', 1)[0] ?? '';
  if (path !== '/metrics' && path !== '/livez' && path !== '/readyz')
    return sendError(response, 404, 'not_found');
  if (request.method !== 'GET' && request.method !== 'HEAD') {
    response.setHeader('Allow', 'GET, HEAD');
    return sendError(response, 405, 'method_not_allowed');
  }
  if (path === '/metrics') return send(response, 200, metrics.contentType, await metrics.text());
  const reason = path === '/livez' ? undefined : unreadyReason();
  if (reason === undefined) return send(response, 200, 'text/plain; charset=utf-8', 'ok\n');
  return sendError(response, 503, 'service_unavailable', reason);
}

function sendError(response: ServerResponse, status: number, code: ErrorCode, details?: string): void {
  const { message } = errorCatalogue[code];
  const envelope = { error: { code, message, details: details ?? null, request_id: randomUUID() } };
  send(response, status, 'application/json', JSON.stringify(envelope));
}

function send(response: ServerResponse, status: number, type: string, body: string): void {
  response.writeHead(status, { 'Content-Type': type, 'Content-Length': Buffer.byteLength(body) });
  response.end(body);
}
