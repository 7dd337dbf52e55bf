import { channels } from '../channels.ts';
import type { FaultEvent, LimitEvent, NoticeEvent } from '../channels.ts';
import { Allowance } from './allowance.ts';
import { RateLedger } from './rate-ledger.ts';
import type { RateLedgerOptions } from './rate-ledger.ts';
import { panesPerWindow } from './sliding-window.ts';

/** Whose limit: of an address, of a key, of a key on what only few should call. Also the policy's name in headers. */
export type RateClass = 'anonymous' | 'default' | 'sensitive';

export interface RateLimiterOptions {
  readonly ledger: Pick<RateLedger, 'lease'>;
  /** API processes among which a limit is shared out while Redis is out of reach. */
  readonly processes: number;
  readonly windowMs: number;
  /** Monotonic. */
  readonly now: () => number;
}

/** The outcome for one request. */
export interface RateVerdict {
  readonly allowed: boolean;
  /** `RateLimit` and `RateLimit-Policy`, as flat name, value pairs. */
  readonly headers: readonly string[];
  /** Whole seconds until there are more tokens: the `t` of `RateLimit`. */
  readonly retryAfterS: number;
}

/** Limits are by the minute. */
const minuteMs = 60_000;
/**
 * Callers that one process keeps in mind, of each class: about 300 bytes each, so 3 MB. Beyond, the oldest is
 * forgotten; Redis still knows what it has spent.
 */
const callersMax = 10_000;
/** A trip takes 0.2 ms, some 20 ms when everything is busy. Past this, Redis counts as out of reach. */
const tripTimeoutMs = 200;
/** How often a process that counts for itself looks whether Redis is back. */
const retryMs = 500;

/**
 * Requests a minute for each caller, over all API processes. Tokens are in Redis; this process leases them in small
 * lots and spends them in memory, so that most requests are decided at once. While Redis is out of reach, each
 * process counts for itself and allows its share.
 */
export class RateLimiter {
  readonly #options: RateLimiterOptions;
  readonly #paneMs: number;
  readonly #callers: Readonly<Record<RateClass, Map<string, Allowance>>> = {
    anonymous: new Map(),
    default: new Map(),
    sensitive: new Map(),
  };
  readonly #sweep: NodeJS.Timeout;
  #local = false;
  #retryAtMs = 0;

  constructor(options: RateLimiterOptions) {
    this.#options = options;
    this.#paneMs = options.windowMs / panesPerWindow;
    this.#sweep = setInterval(() => this.#giveUp(false), this.#paneMs);
  }

  /** Whether Redis is out of reach, so that this process counts for itself. */
  get local(): boolean {
    return this.#local;
  }

  /**
   * Takes a token of `limit` (at least 1) a window. A promise only where Redis has to be asked: it settles within
   * the bounds of a trip and never rejects.
   */
  take(rateClass: RateClass, id: string, limit: number): RateVerdict | Promise<RateVerdict> {
    const allowance = this.#allowance(rateClass, id, limit);
    const nowMs = this.#options.now();
    if (this.#local) return this.#verdict(rateClass, allowance, this.#takeLocally(allowance, nowMs), nowMs);
    const taken = allowance.take(nowMs);
    if (taken === undefined) return this.#wait(rateClass, allowance);
    if (taken && allowance.runsLow) void this.#travel(allowance);
    return this.#verdict(rateClass, allowance, taken, nowMs);
  }

  /** For a token that was taken a moment ago and turned out not to be due. */
  giveBack(rateClass: RateClass, id: string): void {
    const nowMs = this.#options.now();
    this.#callers[rateClass].get(id)?.giveBack(nowMs, this.#localPane(nowMs));
  }

  /** Brings back what is leased. */
  async close(): Promise<void> {
    clearInterval(this.#sweep);
    await Promise.all(this.#giveUp(true));
  }

  #allowance(rateClass: RateClass, id: string, limit: number): Allowance {
    const callers = this.#callers[rateClass];
    const known = callers.get(id);
    if (known !== undefined && known.limit === limit) return known;
    if (known !== undefined) this.#forget(callers, id, known);
    else if (callers.size >= callersMax) {
      const [oldest] = callers;
      if (oldest !== undefined) this.#forget(callers, ...oldest);
    }
    const made = new Allowance(`${rateClass}:${id}`, limit);
    callers.set(id, made);
    return made;
  }

  #forget(callers: Map<string, Allowance>, id: string, allowance: Allowance): void {
    callers.delete(id);
    void this.#bringBack(allowance, true);
  }

  async #wait(rateClass: RateClass, allowance: Allowance): Promise<RateVerdict> {
    allowance.waiting += 1;
    let nowMs: number;
    let taken: boolean | undefined;
    do {
      await (allowance.trip ?? this.#travel(allowance));
      nowMs = this.#options.now();
      taken = this.#local ? this.#takeLocally(allowance, nowMs) : allowance.take(nowMs);
    } while (taken === undefined);
    allowance.waiting -= 1;
    return this.#verdict(rateClass, allowance, taken, nowMs);
  }

  #takeLocally(allowance: Allowance, nowMs: number): boolean {
    if (nowMs >= this.#retryAtMs && allowance.trip === undefined) {
      this.#retryAtMs = nowMs + retryMs;
      void this.#travel(allowance);
    }
    return allowance.takeLocally(this.#share(allowance), this.#localPane(nowMs));
  }

  /** Never rejects; over when Redis has answered, or has not in time. */
  #travel(allowance: Allowance): Promise<void> {
    const trip = this.#lease(allowance, allowance.takeUnspent(this.#options.now()), allowance.wanted);
    allowance.trip = trip;
    void trip.then(() => {
      allowance.trip = undefined;
    });
    return trip;
  }

  #bringBack(allowance: Allowance, all: boolean): Promise<void> | undefined {
    const unspent = allowance.takeUnspent(this.#options.now(), all);
    if (unspent === null || this.#local) return undefined;
    return this.#lease(allowance, unspent, 0);
  }

  #lease(allowance: Allowance, returned: ReturnType<Allowance['takeUnspent']>, asked: number): Promise<void> {
    const { caller, limit } = allowance;
    const sentAtMs = this.#options.now();
    return new Promise((resolve) => {
      let late = false;
      const giveUp = (): void => {
        late = true;
        this.#lost(new Error(`Redis has not answered within ${tripTimeoutMs} ms`));
        resolve();
      };
      let turn: NodeJS.Immediate | undefined;
      // When this process was busy for so long, the answer may be there and only be unread: one turn reads it.
      const timer = setTimeout(() => {
        turn = setImmediate(giveUp);
      }, tripTimeoutMs);
      const settled = (): void => {
        clearTimeout(timer);
        clearImmediate(turn);
        resolve();
      };
      this.#options.ledger.lease({ caller, limit, asked, returned }).then(
        (lease) => {
          settled();
          allowance.receive(lease, sentAtMs);
          if (!late) this.#reached();
        },
        (error: unknown) => {
          settled();
          if (!late) this.#lost(error);
        },
      );
    });
  }

  #reached(): void {
    publish({ change: 'leased' });
    if (!this.#local) return;
    this.#local = false;
    const message = 'Redis is back: limits are shared again';
    channels.notice.publish({ component: 'rate limiter', message } satisfies NoticeEvent);
  }

  #lost(error: unknown): void {
    publish({ change: 'lost' });
    if (this.#local) return;
    this.#local = true;
    this.#retryAtMs = this.#options.now() + retryMs;
    const message = 'Redis is out of reach: this process limits by itself';
    channels.fault.publish({ component: 'rate limiter', message, error } satisfies FaultEvent);
  }

  /** Once a pane, and at the end: what was leased and not spent goes back, who is gone is forgotten. */
  #giveUp(all: boolean): Promise<void>[] {
    const nowMs = this.#options.now();
    const trips: Promise<void>[] = [];
    for (const callers of Object.values(this.#callers))
      for (const [id, allowance] of callers) {
        const trip = this.#bringBack(allowance, all);
        if (trip !== undefined) trips.push(trip);
        else if (allowance.idle(nowMs, this.#localPane(nowMs))) callers.delete(id);
      }
    return trips;
  }

  #verdict(rateClass: RateClass, allowance: Allowance, allowed: boolean, nowMs: number): RateVerdict {
    if (!allowed) publish({ change: 'refused', rateClass });
    const share = this.#share(allowance);
    const localPane = this.#localPane(nowMs);
    const left = allowance.remaining(share, localPane);
    const seconds = Math.max(1, Math.ceil(allowance.freedInMs(nowMs, localPane, this.#paneMs) / 1000));
    return {
      allowed,
      headers: [
        'RateLimit-Policy',
        `"${rateClass}";q=${allowance.limit};w=${Math.ceil(this.#options.windowMs / 1000)}`,
        'RateLimit',
        `"${rateClass}";r=${left};t=${seconds}`,
      ],
      retryAfterS: seconds,
    };
  }

  #share({ limit }: Allowance): number {
    return Math.ceil(limit / this.#options.processes);
  }

  #localPane(nowMs: number): number {
    return Math.floor(nowMs / this.#paneMs);
  }
}

/** What a process has: by the minute, over `redis`. Close it before that connection, on which it brings leases back. */
export function createRateLimiter(
  options: Omit<RateLedgerOptions, 'windowMs'> & { readonly processes: number },
): RateLimiter {
  return new RateLimiter({
    ledger: new RateLedger({ ...options, windowMs: minuteMs }),
    processes: options.processes,
    windowMs: minuteMs,
    now: () => performance.now(),
  });
}

function publish(event: LimitEvent): void {
  if (channels.limit.hasSubscribers) channels.limit.publish(event);
}
