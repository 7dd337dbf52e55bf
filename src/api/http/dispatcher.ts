import type { IncomingMessage, ServerResponse } from 'node:http';
import { MillraceError } from '../../errors.ts';
import type { Answer, StreamedAnswer } from './answer.ts';
import type { CallerCheck } from './caller-check.ts';
import { Exchange } from './exchange.ts';
import { accepts } from './negotiate.ts';
import { checkProtocol, parseTarget } from './protocol.ts';
import { checkQuery } from './query.ts';
import { Refusal } from './refusal.ts';
import type { Resource, Route, RouteTable } from './route-table.ts';

export interface DispatcherOptions {
  readonly table: RouteTable;
  readonly callers: CallerCheck;
  readonly headerCountMax: number;
}

/** What every request passes, in this order: protocol, route, method, media type, caller, handler. */
export class Dispatcher {
  readonly #options: DispatcherOptions;
  #draining = false;

  constructor(options: DispatcherOptions) {
    this.#options = options;
  }

  /** From now on every answer ends its connection, so that clients go elsewhere by themselves. */
  drain(): void {
    this.#draining = true;
  }

  readonly handle = (request: IncomingMessage, response: ServerResponse): void => {
    const exchange = new Exchange(request, response);
    exchange.lastOnConnection = this.#draining;
    this.#answerTo(exchange).then(
      (answer) => {
        // A drain that began meanwhile must end this connection too.
        if (this.#draining) exchange.lastOnConnection = true;
        if ('pieces' in answer) exchange.stream(answer);
        else exchange.answer(answer);
      },
      (error: unknown) => {
        if (this.#draining) exchange.lastOnConnection = true;
        exchange.fail(error);
      },
    );
  };

  async #answerTo(exchange: Exchange): Promise<Answer | StreamedAnswer> {
    const { table, callers, headerCountMax } = this.#options;
    const { request } = exchange;
    checkProtocol(request, headerCountMax);
    const { path, search } = parseTarget(request);
    exchange.search = search;
    if (path === '*') return optionsAnswer(request.method, table.allow);
    const match = matchOf(table, path);
    exchange.route = match.resource.template;
    exchange.params = match.params;
    if (request.method === 'OPTIONS') return optionsAnswer('OPTIONS', match.resource.allow);
    const route = routeOf(match.resource, request.method ?? '');
    if (route.produces !== null && !accepts(request.headers.accept, route.produces))
      throw notAcceptable(route.produces);
    const pending = callers.check(exchange, route);
    if (pending !== undefined) await pending;
    if (route.query !== null && search !== '') checkQuery(search, route.query);
    return route.handler(exchange);
  }
}

function matchOf(table: RouteTable, path: string): { resource: Resource; params: readonly string[] } {
  try {
    const match = table.match(path);
    if (match !== undefined) return match;
  } catch (error) {
    if (!(error instanceof URIError)) throw error;
    throw new Refusal('invalid_input', 'The request target is malformed', {
      details: [
        { path: 'request target', expected: 'valid percent-encoding of UTF-8', found: path.slice(0, 80) },
      ],
    });
  }
  throw new MillraceError('not_found', 'There is nothing at this path', {
    details: 'GET /api/v1/openapi.json lists all paths; /docs shows them',
  });
}

function routeOf(resource: Resource, method: string): Route {
  const route = resource.routes.get(method === 'HEAD' ? 'GET' : method);
  if (route !== undefined) return route;
  throw new Refusal('method_not_allowed', `${method} is not supported here`, {
    details: `Supported: ${resource.allow}`,
    headers: ['Allow', resource.allow],
  });
}

function optionsAnswer(method: string | undefined, allow: string): Answer {
  if (method !== 'OPTIONS')
    throw new Refusal('invalid_input', 'The request target is malformed', {
      details: [{ path: 'request target', expected: 'a path; * goes with OPTIONS only', found: '*' }],
    });
  return { status: 204, headers: ['Allow', allow], body: '' };
}

function notAcceptable(produces: string): Refusal {
  return new Refusal('not_acceptable', undefined, {
    details: `This call answers ${produces}`,
    headers: ['Vary', 'Accept'],
  });
}
