import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { Redis } from 'ioredis';
import { redisUnavailable } from '../redis-failure.ts';

/** A sealed batch of which nothing was settled, paused or resumed for so long fails: 7 days. */
export const idleMsMax = 7 * 24 * 3_600_000;
/** What a batch's keys live beyond its lease or its expiry, for the sweeper to end or forget it in order: a day. */
export const graceMs = 24 * 3_600_000;
/**
 * How much longer than the batch the list of its artifacts lives: with the list lost, they would lie in their store for
 * ever. An installation may be off for so long: 30 days.
 */
export const digestsKeptMs = 30 * 24 * 3_600_000;
/** How long the name of an expired batch is kept, so that its caller is told so: 7 days, 150 bytes each. */
export const nameKeptMs = 7 * 24 * 3_600_000;
/** Most chunks of one claim: some 20 calls of Redis each, so a claim holds Redis for about 5 ms at most. */
export const claimedMax = 256;
/** Lives are lengthened when this much of them has gone: else every chunk would write a dozen expiries. */
const ttlSlackMs = 3_600_000;

/** The files of ./scripts/, but for the prelude. */
export const ledgerScriptNames = [
  'create',
  'add-chunk',
  'touch',
  'seal',
  'get',
  'has-expired',
  'list',
  'chunks',
  'chunk-of-row',
  'end',
  'pause',
  'claim',
  'lost-chunks',
  'reclaimed',
  'fail-abandoned',
  'discard',
  'forget-expired',
  'removed',
  'begin',
  'wanted',
  'settle',
  'note-digest',
  'add-letters',
  'list-letters',
  'remove-letters',
  'count-letters',
] as const;

export type LedgerScriptName = (typeof ledgerScriptNames)[number];

/** Runs a script of ./scripts/ with the root of all batch keys as its one key. Throws `service_unavailable`. */
export type RunLedgerScript = (
  name: LedgerScriptName,
  ...args: readonly (string | number | Uint8Array)[]
) => Promise<unknown>;

export interface LedgerScriptsOptions {
  /** A connection of role `command`; stays the caller's. */
  readonly redis: Redis;
  readonly root: string;
  /** What an upload may be silent for. */
  readonly uploadLeaseMs: number;
}

interface Script {
  readonly text: string;
  readonly sha1: string;
}

export function createLedgerScripts({ redis, root, uploadLeaseMs }: LedgerScriptsOptions): RunLedgerScript {
  const openMsMax = idleMsMax + graceMs;
  const constants = {
    idleMsMax,
    graceMs,
    digestsKeptMs,
    nameKeptMs,
    claimedMax,
    ttlSlackMs,
    openMsMax,
    uploadLeaseMs,
  };
  const head = Object.entries(constants).map(([name, value]) => `local ${name} = ${value}\n`);
  const prelude = head.join('') + read('prelude');
  const scripts = new Map<LedgerScriptName, Script>(
    ledgerScriptNames.map((name) => {
      const text = prelude + read(name);
      return [name, { text, sha1: createHash('sha1').update(text).digest('hex') }];
    }),
  );
  return async (name, ...args) => {
    const { text, sha1 } = scripts.get(name) as Script;
    const sent = args.map((arg) => (arg instanceof Uint8Array ? asBuffer(arg) : arg));
    try {
      return await redis.evalsha(sha1, 1, root, ...sent);
    } catch (error) {
      // Redis is new, or its scripts were flushed: it did nothing, and knows the script from then on.
      if (!(error instanceof Error && error.message.startsWith('NOSCRIPT'))) throw redisUnavailable(error);
    }
    return redis.eval(text, 1, root, ...sent).catch((error: unknown) => {
      throw redisUnavailable(error);
    });
  };
}

function read(name: string): string {
  return readFileSync(new URL(`./scripts/${name}.lua`, import.meta.url), 'utf8');
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
