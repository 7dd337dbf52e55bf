import { createServer } from 'node:http';
import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from 'node:http';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import type { BatchObject } from '../../../src/cli/batch-object.ts';

/** A request as it came; `body` resolves once all of it is there. */
export interface SeenRequest {
  /** As in `POST /api/v1/batch`, without the query. */
  readonly call: string;
  readonly query: URLSearchParams;
  readonly headers: IncomingHttpHeaders;
  readonly body: Promise<string>;
}

export type Answerer = (request: SeenRequest, response: ServerResponse, raw: IncomingMessage) => unknown;

/**
 * A real HTTP server that plays the contract: for what the system does only when something is wrong with it. Its
 * answers are those given by call; the last one of a list goes on.
 */
export interface ContractServer {
  readonly url: string;
  readonly seen: readonly SeenRequest[];
  /** Further calls queue up. */
  answer(call: string, ...answers: readonly Answerer[]): void;
  /** Whether a body is asked for when a call wants to know first. Default true. */
  continues: boolean;
  /** Requests of one call. */
  of(call: string): readonly SeenRequest[];
  close(): Promise<void>;
}

export async function startContractServer(): Promise<ContractServer> {
  const seen: SeenRequest[] = [];
  const answers = new Map<string, Answerer[]>();
  const onRequest = (raw: IncomingMessage, response: ServerResponse) => {
    const url = new URL(raw.url ?? '/', 'http://contract');
    const request: SeenRequest = {
      call: `${raw.method} ${url.pathname}`,
      query: url.searchParams,
      headers: raw.headers,
      body: readAll(raw),
    };
    request.body.catch(() => undefined);
    seen.push(request);
    const queue = answers.get(request.call) ?? [];
    const answer = queue.length > 1 ? queue.shift() : queue[0];
    if (answer === undefined)
      sendError(404, 'not_found', `No answer for ${request.call}`)(request, response, raw);
    else answer(request, response, raw);
  };
  const server = createServer(onRequest);
  const contract: ContractServer = {
    url: '',
    seen,
    continues: true,
    answer: (call, ...more) => void answers.set(call, [...(answers.get(call) ?? []), ...more]),
    of: (call) => seen.filter((request) => request.call === call),
    async close() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
  server.on('checkContinue', (raw: IncomingMessage, response: ServerResponse) => {
    if (contract.continues) response.writeContinue();
    onRequest(raw, response);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return Object.assign(contract, { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` });
}

async function readAll(raw: IncomingMessage): Promise<string> {
  let text = '';
  for await (const chunk of raw) text += String(chunk);
  return text;
}

/** Once the whole request is there. */
export function sendJson(
  status: number,
  body: unknown,
  headers: Readonly<Record<string, string>> = {},
): Answerer {
  return async (request, response) => {
    await request.body;
    response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(body));
  };
}

/** At once, as the real one does it: before it has read a body. */
export function sendError(
  status: number,
  code: string,
  message: string,
  {
    details = null,
    headers = {},
  }: { readonly details?: unknown; readonly headers?: Readonly<Record<string, string>> } = {},
): Answerer {
  return (_, response) => {
    const body = JSON.stringify({ error: { code, message, details, request_id: 'req_test' } });
    response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(body);
  };
}

/** Events with ids from `firstId` on; then the stream ends, or breaks. */
export function sendEvents(
  batches: readonly BatchObject[],
  { firstId = 1, breaks = false }: { readonly firstId?: number; readonly breaks?: boolean } = {},
): Answerer {
  return (_, response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    batches.forEach((batch, index) =>
      response.write(`id: ${firstId + index}\nevent: progress\ndata: ${JSON.stringify(batch)}\n\n`),
    );
    if (breaks) response.write(': to be cut', () => response.destroy());
    else response.end();
  };
}

/** Repeats an event as often as the real one does, until the batch may end. */
export function eventsUntil(
  progress: BatchObject,
  last: BatchObject,
): { readonly answerer: Answerer; readonly end: () => void } {
  let over = false;
  return {
    end: () => (over = true),
    answerer: (_, response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      let eventId = 0;
      const timer = setInterval(() => {
        eventId += 1;
        const data = JSON.stringify(over ? last : progress);
        response.write(`id: ${eventId}\nevent: progress\ndata: ${data}\n\n`);
        if (over) response.end();
      }, eventGapMs);
      response.once('close', () => clearInterval(timer));
    },
  };
}

const eventGapMs = 100;

export function batchObject(changes: Partial<BatchObject> = {}): BatchObject {
  return {
    id: 'batch_01TEST',
    status: 'running',
    paused: false,
    model_name: 'wine',
    model_version: 'v1.0.0',
    counts: { total: 1000, succeeded: 0, failed: 0 },
    progress: 0,
    eta_seconds: null,
    created_at: '2026-11-25T01:00:00.000Z',
    started_at: '2026-11-25T01:00:01.000Z',
    finished_at: null,
    expires_at: null,
    error: null,
    retry_of: null,
    ...changes,
  };
}

export const completed = batchObject({
  status: 'completed',
  counts: { total: 1000, succeeded: 1000, failed: 0 },
  progress: 1,
  finished_at: '2026-11-25T01:00:03.500Z',
});
