import type { Redis } from 'ioredis';
import type { RedisKeys } from '../lanes.ts';
import { redisUnavailable } from '../redis-failure.ts';
import type { DeadLetter, DeadLetters } from './batch-ledger.ts';
import { createLedgerScripts } from './ledger-scripts.ts';

export interface RedisDeadLettersOptions {
  /** A connection of role `command`; stays the caller's. */
  readonly redis: Redis;
  readonly keys: RedisKeys;
  readonly countMax: number;
  /** Of all letters and their inputs, but for the one that goes beyond. */
  readonly bytesMax?: number;
}

/** Long enough for somebody to come back from a week's leave: 8 days. */
export const deadLetterMs = 8 * 24 * 3_600_000;
/** 10,000 rows of 26 KB: rows may be of megabytes, and Redis is everybody's. */
export const deadLetterBytesMax = 256 * 1024 * 1024;
const pageMax = 100;

export function createRedisDeadLetters(options: RedisDeadLettersOptions): DeadLetters {
  const { redis, keys, countMax, bytesMax = deadLetterBytesMax } = options;
  const run = createLedgerScripts({ redis, root: keys.batches, uploadLeaseMs: 0 });
  return {
    add: async (letters) => {
      if (letters.length === 0 || countMax === 0) return;
      const fields = letters.flatMap(({ input, ...letter }) => [
        letter.id,
        `${letter.batchId}.${letter.row}`,
        JSON.stringify(letter),
        input,
      ]);
      await run('add-letters', countMax, bytesMax, deadLetterMs, ...fields);
    },
    list: async (after, limit) => {
      const reply = await run('list-letters', after ?? '', Math.min(limit, pageMax));
      const [next, letters] = reply as [string, string[]];
      return {
        letters: letters.map((text) => JSON.parse(text) as DeadLetter),
        next: next === '' ? null : next,
      };
    },
    take: async (id) => {
      const [text, input] = await redis
        .hmgetBuffer(keys.deadLetter(id), 'letter', 'input')
        .catch((error: unknown) => {
          throw redisUnavailable(error);
        });
      if (!text || !input) return undefined;
      return { ...(JSON.parse(text.toString()) as DeadLetter), input };
    },
    remove: async (ids) => void (ids.length > 0 && (await run('remove-letters', ...ids))),
    count: async () => (await run('count-letters')) as number,
  };
}
