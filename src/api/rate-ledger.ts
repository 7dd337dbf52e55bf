import type { Redis } from 'ioredis';
import { panesCounted, panesPerWindow } from './sliding-window.ts';

export interface LeaseRequest {
  /** Whose tokens: a class and a caller, as in `default:4FQK2MBV7C3D`. */
  readonly caller: string;
  /** Tokens in a window, over all processes. */
  readonly limit: number;
  /** Tokens that are wanted; 0 to bring some back only. */
  readonly asked: number;
  /** Tokens of an earlier lease, and its pane, that were not spent. */
  readonly returned: Unspent | null;
}

export interface Unspent {
  readonly pane: number;
  readonly tokens: number;
}

/** Tokens that may be spent until their pane ends, and what is known of the rest. */
export interface Lease {
  /** At most what was asked for. */
  readonly tokens: number;
  /** Left for everybody else in this pane. */
  readonly remaining: number;
  /** By the Redis clock. */
  readonly pane: number;
  readonly paneLeftMs: number;
  /** Until more tokens come free because spent ones leave the window. */
  readonly freedInMs: number;
}

export interface RateLedgerOptions {
  /** A connection of role `command`; stays the caller's. */
  readonly redis: Redis;
  readonly prefix: string;
  readonly windowMs: number;
}

/**
 * A hash per caller: pane → tokens that were given out in it, and nothing for panes that have left the window.
 * Leases end with their pane, so what was given out in a pane was spent in it or comes back: the sum over a
 * window is never below what was spent in it. The clock is Redis'; panes of a future that it took back do not count.
 *
 * KEYS 1 the hash. ARGV 1 limit, 2 asked, 3 pane of what comes back, 4 how many, 5 pane in ms, 6 panes that count.
 * Returns tokens, remaining, pane, ms left of it, ms until the oldest pane leaves the window.
 */
const script = `
local paneMs = tonumber(ARGV[5])
local counted = tonumber(ARGV[6])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local pane = math.floor(now / paneMs)
local spent = 0
local oldest = pane
local panes = redis.call('HGETALL', KEYS[1])
for i = 1, #panes, 2 do
  local each = tonumber(panes[i])
  local tokens = tonumber(panes[i + 1])
  if panes[i] == ARGV[3] then
    tokens = math.max(0, tokens - tonumber(ARGV[4]))
    redis.call('HSET', KEYS[1], panes[i], tokens)
  end
  if each <= pane - counted or each > pane or tokens == 0 then
    redis.call('HDEL', KEYS[1], panes[i])
  else
    spent = spent + tokens
    if each < oldest then oldest = each end
  end
end
local left = math.max(0, tonumber(ARGV[1]) - spent)
local tokens = math.min(tonumber(ARGV[2]), left)
if tokens > 0 then
  redis.call('HINCRBY', KEYS[1], pane, tokens)
  redis.call('PEXPIRE', KEYS[1], (counted + 1) * paneMs)
end
return { tokens, left - tokens, pane, (pane + 1) * paneMs - now, (oldest + counted) * paneMs - now }
`;

/** Where the tokens are. One script, one trip: it returns, counts and gives out at one instant of the Redis clock. */
export class RateLedger {
  readonly #redis: Redis;
  readonly #prefix: string;
  readonly #paneMs: number;

  constructor({ redis, prefix, windowMs }: RateLedgerOptions) {
    this.#redis = redis;
    this.#prefix = `{${prefix}}:limit:`;
    this.#paneMs = windowMs / panesPerWindow;
  }

  /** Rejects when Redis is out of reach. */
  async lease({ caller, limit, asked, returned }: LeaseRequest): Promise<Lease> {
    const reply = (await this.#redis.eval(
      script,
      1,
      this.#prefix + caller,
      limit,
      asked,
      returned?.pane ?? '',
      returned?.tokens ?? 0,
      this.#paneMs,
      panesCounted,
    )) as [number, number, number, number, number];
    const [tokens, remaining, pane, paneLeftMs, freedInMs] = reply;
    return { tokens, remaining, pane, paneLeftMs, freedInMs };
  }
}
