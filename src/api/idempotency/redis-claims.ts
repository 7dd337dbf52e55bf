import type { Redis } from 'ioredis';
import type { RedisKeys } from '../../queues/lanes.ts';
import { redisUnavailable } from '../../queues/redis-failure.ts';
import type { ClaimOutcome, ClaimRequest, Claims, KeptAnswer } from './claims.ts';

/*
 * An entry is a hash: target, digest (of the body; '' while unknown), batch; while somebody works on it: holder, until
 * (ms of the Redis clock); once it is answered: status, headers (JSON), and body unless it was too large.
 */

/**
 * KEYS: 1 entry. ARGV: 1 token, 2 target, 3 digest or '', 4 batch id, 5 lease ms, 6 retention ms.
 * Returns one of: claimed, batch id, 1 if it was taken over, digest or '' · held, ms left · differs, target or body ·
 * answered, batch id, digest, status, headers, body or nil.
 */
const claimScript = `
local time = redis.call('TIME')
local nowMs = time[1] * 1000 + math.floor(time[2] / 1000)
local entry = redis.call('HMGET', KEYS[1], 'target', 'digest', 'batch', 'holder', 'until', 'status', 'headers', 'body')
local target, digest, batch, holder, untilMs = entry[1], entry[2], entry[3], entry[4], entry[5]
if target and target ~= ARGV[2] then return {'differs', 'target'} end
if target and digest ~= '' and ARGV[3] ~= '' and digest ~= ARGV[3] then return {'differs', 'body'} end
if entry[6] then return {'answered', batch, digest, entry[6], entry[7], entry[8]} end
if holder and holder ~= ARGV[1] and tonumber(untilMs) > nowMs then
  return {'held', tonumber(untilMs) - nowMs}
end
if not target then
  batch, digest = ARGV[4], ARGV[3]
  redis.call('HSET', KEYS[1], 'target', ARGV[2], 'digest', ARGV[3], 'batch', batch)
elseif digest == '' and ARGV[3] ~= '' then
  digest = ARGV[3]
  redis.call('HSET', KEYS[1], 'digest', digest)
end
redis.call('HSET', KEYS[1], 'holder', ARGV[1], 'until', nowMs + ARGV[5])
redis.call('PEXPIRE', KEYS[1], ARGV[6])
return {'claimed', batch, (holder and holder ~= ARGV[1]) and 1 or 0, digest}`;

/**
 * KEYS: 1 entry. ARGV: 1 token, 2 digest, 3 retention ms, 4 channel, 5 entry name, 6 status, 7 headers, 8 body if kept.
 * Returns 1 when it was stored.
 */
const completeScript = `
if redis.call('HGET', KEYS[1], 'holder') ~= ARGV[1] then return 0 end
redis.call('HSET', KEYS[1], 'digest', ARGV[2], 'status', ARGV[6], 'headers', ARGV[7])
if ARGV[8] then redis.call('HSET', KEYS[1], 'body', ARGV[8]) end
redis.call('HDEL', KEYS[1], 'holder', 'until')
redis.call('PEXPIRE', KEYS[1], ARGV[3])
redis.call('PUBLISH', ARGV[4], ARGV[5])
return 1`;

/** KEYS: 1 entry. ARGV: 1 token, 2 field, 3 value. Returns 1 when it was stored. */
const noteScript = `
if redis.call('HGET', KEYS[1], 'holder') ~= ARGV[1] then return 0 end
redis.call('HSET', KEYS[1], ARGV[2], ARGV[3])
return 1`;

/** KEYS: 1 entry. ARGV: 1 token, 2 channel, 3 entry name, 4 `1` to keep what was noted. Returns nothing. */
const releaseScript = `
if redis.call('HGET', KEYS[1], 'holder') ~= ARGV[1] then return end
if ARGV[4] == '1' then redis.call('HSET', KEYS[1], 'until', 0) else redis.call('DEL', KEYS[1]) end
redis.call('PUBLISH', ARGV[2], ARGV[3])`;

/** KEYS: entries. ARGV: lease ms, then the token of each. Returns nothing. */
const renewScript = `
local time = redis.call('TIME')
local untilMs = time[1] * 1000 + math.floor(time[2] / 1000) + ARGV[1]
for i = 1, #KEYS do
  if redis.call('HGET', KEYS[i], 'holder') == ARGV[i + 1] then redis.call('HSET', KEYS[i], 'until', untilMs) end
end`;

export interface RedisClaimsOptions {
  /** A connection of role `command`; stays the caller's. */
  readonly redis: Redis;
  readonly keys: RedisKeys;
  readonly leaseMs: number;
  readonly retentionMs: number;
}

type Reply =
  | readonly ['claimed', batchId: string, takenOver: number, digest: string]
  | readonly ['held', leaseLeftMs: number]
  | readonly ['differs', what: 'target' | 'body']
  | readonly [
      'answered',
      batchId: string,
      digest: string,
      status: string,
      headers: string,
      body: string | null,
    ];

export class RedisClaims implements Claims {
  readonly #options: RedisClaimsOptions;

  constructor(options: RedisClaimsOptions) {
    this.#options = options;
  }

  async claim({ entry, token, target, bodyDigest, batchId }: ClaimRequest): Promise<ClaimOutcome> {
    const { leaseMs, retentionMs } = this.#options;
    const args = [token, target, bodyDigest ?? '', batchId, leaseMs, retentionMs];
    return toOutcome((await this.#run(claimScript, [entry], args)) as Reply);
  }

  async complete(entry: string, token: string, bodyDigest: string, answer: KeptAnswer): Promise<boolean> {
    const { keys, retentionMs } = this.#options;
    const { status, headers, body } = answer;
    const args = [
      token,
      bodyDigest,
      retentionMs,
      keys.idempotencyChannel,
      entry,
      status,
      JSON.stringify(headers),
    ];
    const stored = await this.#run(completeScript, [entry], body === null ? args : [...args, body]);
    return stored === 1;
  }

  async note(entry: string, token: string, what: 'batch' | 'digest', value: string): Promise<boolean> {
    return (await this.#run(noteScript, [entry], [token, what, value])) === 1;
  }

  async release(entry: string, token: string, keep: boolean): Promise<void> {
    const args = [token, this.#options.keys.idempotencyChannel, entry, keep ? 1 : 0];
    await this.#run(releaseScript, [entry], args);
  }

  async renew(held: ReadonlyMap<string, string>): Promise<void> {
    await this.#run(renewScript, [...held.keys()], [this.#options.leaseMs, ...held.values()]);
  }

  async #run(
    script: string,
    entries: readonly string[],
    args: readonly (string | number)[],
  ): Promise<unknown> {
    const { redis, keys } = this.#options;
    try {
      return await redis.eval(
        script,
        entries.length,
        ...entries.map((entry) => keys.idempotency(entry)),
        ...args,
      );
    } catch (error) {
      throw redisUnavailable(error);
    }
  }
}

function toOutcome(reply: Reply): ClaimOutcome {
  switch (reply[0]) {
    case 'claimed':
      return {
        kind: 'claimed',
        batchId: reply[1],
        takenOver: reply[2] === 1,
        bodyDigest: reply[3] === '' ? undefined : reply[3],
      };
    case 'held':
      return { kind: 'held', leaseLeftMs: reply[1] };
    case 'differs':
      return { kind: 'differs', what: reply[1] };
    case 'answered': {
      const [, batchId, bodyDigest, status, headers, body] = reply;
      const answer = { status: Number(status), headers: JSON.parse(headers) as string[], body };
      return { kind: 'answered', batchId, bodyDigest, answer };
    }
  }
}
