import type { Scope } from '../keys/scopes.ts';
import type { Answer, StreamedAnswer } from './answer.ts';
import type { Exchange } from './exchange.ts';

export type Handler = (exchange: Exchange) => Answer | StreamedAnswer | Promise<Answer | StreamedAnswer>;

/**
 * One row of the table. `template` is the path as OpenAPI writes it (`/api/v1/models/{model}`): a placeholder
 * takes one whole segment. It is also the route's name in logs and metrics.
 */
export interface Route {
  readonly method: 'GET' | 'POST' | 'DELETE';
  readonly template: string;
  /** `any`: a valid key, whatever it is for. */
  readonly scope: Scope | 'any' | 'public';
  /** Media type of a 200, for negotiation; null where it depends on the path: then whatever comes is sent. */
  readonly produces: string | null;
  /** Query parameters that the route knows; others are refused. Null on pages and probes, which ignore them. */
  readonly query: readonly string[] | null;
  /** Public routes that machines ask often or that cost nothing: no limit for anonymous callers. */
  readonly unlimited?: true;
  readonly handler: Handler;
}

/** All routes of one path. */
export interface Resource {
  readonly template: string;
  readonly segments: readonly string[];
  readonly routes: ReadonlyMap<string, Route>;
  /** Value of `Allow`: HEAD comes with GET, OPTIONS with everything. */
  readonly allow: string;
}

export interface RouteMatch {
  readonly resource: Resource;
  readonly params: readonly string[];
}

const noParams: readonly string[] = [];

/**
 * Finds the resource of a path: one look-up in a map for a path without placeholders, else a comparison of
 * segments. Throws at construction when a route has no scope or stands twice: the process then does not start.
 */
export class RouteTable {
  readonly routes: readonly Route[];
  /** Every method of the table, for `OPTIONS *`. */
  readonly allow: string;
  readonly #fixed = new Map<string, Resource>();
  readonly #open: Resource[] = [];

  constructor(routes: readonly Route[]) {
    this.routes = routes;
    const byTemplate = new Map<string, Map<string, Route>>();
    for (const route of routes) {
      if (typeof route.scope !== 'string')
        throw new Error(`route ${route.method} ${route.template} has no scope`);
      const methods = byTemplate.get(route.template) ?? new Map<string, Route>();
      if (methods.has(route.method)) throw new Error(`route ${route.method} ${route.template} stands twice`);
      methods.set(route.method, route);
      byTemplate.set(route.template, methods);
    }
    for (const [template, methods] of byTemplate) this.#add(template, methods);
    this.allow = allowOf(new Set(routes.map((route) => route.method)));
  }

  #add(template: string, routes: ReadonlyMap<string, Route>): void {
    const segments = template.split('/');
    const resource = { template, segments, routes, allow: allowOf(new Set(routes.keys())) };
    if (segments.some(isPlaceholder)) this.#open.push(resource);
    else this.#fixed.set(template, resource);
  }

  /** `path` as it came, without query. Throws URIError where its percent-encoding is broken. */
  match(path: string): RouteMatch | undefined {
    const fixed = this.#fixed.get(path);
    if (fixed !== undefined) return { resource: fixed, params: noParams };
    const segments = path.split('/');
    if (!path.includes('%')) return this.#matchOpen(segments);
    const decoded = segments.map(decodeURIComponent);
    const plain = decoded.some((segment) => segment.includes('/'))
      ? undefined
      : this.#fixed.get(decoded.join('/'));
    return plain === undefined ? this.#matchOpen(decoded) : { resource: plain, params: noParams };
  }

  #matchOpen(segments: readonly string[]): RouteMatch | undefined {
    for (const resource of this.#open) {
      const params = bind(resource.segments, segments);
      if (params !== undefined) return { resource, params };
    }
    return undefined;
  }
}

function bind(template: readonly string[], segments: readonly string[]): string[] | undefined {
  if (template.length !== segments.length) return undefined;
  const params: string[] = [];
  for (const [index, expected] of template.entries()) {
    const segment = segments[index] as string;
    if (isPlaceholder(expected)) {
      if (segment === '') return undefined;
      params.push(segment);
    } else if (segment !== expected) return undefined;
  }
  return params;
}

function isPlaceholder(segment: string): boolean {
  return segment.startsWith('{');
}

function allowOf(methods: ReadonlySet<string>): string {
  const allowed = [...methods];
  if (methods.has('GET')) allowed.push('HEAD');
  allowed.push('OPTIONS');
  return allowed.toSorted().join(', ');
}
