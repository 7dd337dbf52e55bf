import type { IncomingMessage } from 'node:http';
import { MillraceError } from '../../errors.ts';
import type { ClientAddress } from '../client-address.ts';
import { hasScope } from '../credentials.ts';
import type { Credentials, Principal } from '../credentials.ts';
import type { RateClass, RateLimiter, RateVerdict } from '../rate-limiter.ts';
import type { Exchange } from './exchange.ts';
import type { Route } from './route-table.ts';

export interface CallerCheckOptions {
  readonly credentials: Credentials;
  readonly limiter: RateLimiter;
  /** Requests a minute; 0 for no limit. */
  readonly limits: Readonly<Record<RateClass, number>>;
  readonly clientAddress: ClientAddress;
}

const noHeaders: readonly string[] = [];

/** Who calls, and whether that caller may call this, now. */
export class CallerCheck {
  readonly #options: CallerCheckOptions;
  /** Keys that are being looked at, with the address that they came from. */
  readonly #pending = new Map<string, Promise<Principal>>();

  constructor(options: CallerCheckOptions) {
    this.#options = options;
  }

  /**
   * Sets the exchange's principal and limit headers. Returns undefined when all is decided at once, as it is for a
   * key that was seen lately and has tokens left. Throws (or rejects with) `unauthorized`, `forbidden`,
   * `rate_limit_exceeded`.
   */
  check(exchange: Exchange, route: Route): Promise<void> | undefined {
    const { credentials } = this.#options;
    if (route.scope === 'public')
      return route.unlimited === true
        ? undefined
        : this.#spend(exchange, 'anonymous', this.#addressOf(exchange.request), null);
    const principal = credentials.recall(exchange.request.headers);
    return principal === undefined
      ? this.#identify(exchange, route)
      : this.#admit(exchange, route, principal);
  }

  #admit(exchange: Exchange, route: Route, principal: Principal): Promise<void> | undefined {
    exchange.principal = principal;
    exchange.limitHeaders = noHeaders;
    const own = principal.ratePerMinute;
    const rateClass = rateClassOf(route);
    const pending = own === 0 ? undefined : this.#spend(exchange, rateClass, principal.id, own);
    if (pending !== undefined) return pending.then(() => checkScope(principal, route));
    checkScope(principal, route);
    return undefined;
  }

  /** `own` is the caller's own limit in place of the general one. */
  #spend(
    exchange: Exchange,
    rateClass: RateClass,
    id: string,
    own: number | null,
  ): Promise<void> | undefined {
    const { limiter, limits } = this.#options;
    const limit = rateClass === 'default' ? (own ?? limits.default) : limits[rateClass];
    if (limit === 0) return undefined;
    const verdict = limiter.take(rateClass, id, limit);
    if (verdict instanceof Promise) return verdict.then((settled) => heed(exchange, settled));
    heed(exchange, verdict);
    return undefined;
  }

  /**
   * Whoever may be guessing pays for each try with a token of its address, before anything is looked up, and is
   * paid back when the key is right. A key that was right a moment ago does not pay: a neighbour that guesses, or a
   * proxy that is not in api.trusted_proxies, must not lock out those who are known.
   */
  async #identify(exchange: Exchange, route: Route): Promise<void> {
    const { credentials } = this.#options;
    const { request } = exchange;
    const principal = credentials.familiar(request.headers)
      ? await credentials.authenticate(request.headers)
      : await this.#verify(exchange);
    await this.#admit(exchange, route, principal);
  }

  /** Requests that come together with one new key wait for the first of them: one try, one token. */
  async #verify(exchange: Exchange): Promise<Principal> {
    const { headers } = exchange.request;
    const address = this.#addressOf(exchange.request);
    const tried = `${address} ${String(headers['x-api-key'])}`;
    const earlier = await this.#pending.get(tried)?.catch(() => undefined);
    if (earlier !== undefined) return earlier;
    const trying = this.#try(exchange, address);
    this.#pending.set(tried, trying);
    try {
      return await trying;
    } finally {
      this.#pending.delete(tried);
    }
  }

  async #try(exchange: Exchange, address: string): Promise<Principal> {
    const { credentials, limiter } = this.#options;
    await this.#spend(exchange, 'anonymous', address, null);
    let wrong = false;
    try {
      return await credentials.authenticate(exchange.request.headers);
    } catch (error) {
      wrong = error instanceof MillraceError && error.code === 'unauthorized';
      throw error;
    } finally {
      // Nor does it pay when the keys are out of reach.
      if (!wrong) limiter.giveBack('anonymous', address);
    }
  }

  #addressOf({ socket, headers }: IncomingMessage): string {
    const forwardedFor = headers['x-forwarded-for'];
    return this.#options.clientAddress.of({
      remoteAddress: socket.remoteAddress,
      forwardedFor: Array.isArray(forwardedFor) ? forwardedFor.join() : forwardedFor,
    });
  }
}

/** What changes models or the installation is sensitive. */
function rateClassOf({ scope }: Route): RateClass {
  return scope === 'models:write' || scope === 'admin' ? 'sensitive' : 'default';
}

function checkScope(principal: Principal, { scope }: Route): void {
  if (scope !== 'public' && scope !== 'any' && !hasScope(principal, scope))
    throw new MillraceError('forbidden', undefined, { details: `This call needs scope ${scope}` });
}

function heed(exchange: Exchange, { allowed, headers, retryAfterS }: RateVerdict): void {
  exchange.limitHeaders = headers;
  if (!allowed)
    throw new MillraceError('rate_limit_exceeded', undefined, {
      details: 'RateLimit-Policy says how much is allowed, Retry-After when there is more',
      retryAfterS,
    });
}
