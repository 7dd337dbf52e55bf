import { setTimeout as delay } from 'node:timers/promises';
import type { Redis } from 'ioredis';
import { MillraceError } from '../../errors.ts';
import { redisUnavailable } from '../redis-failure.ts';

/** Redis itself puts a write off for 2 s at most, while an fsync is slow; then it blocks until the write is through. */
const waitMsMax = 10_000;
/** A look costs Redis some 20 µs. Doubling: mostly the bytes are there at the first or second one. */
const firstPollMs = 1;
const pollMsMax = 32;
const retryAfterS = 2;

/** How far the append-only file is, by INFO persistence. */
export interface AofState {
  readonly enabled: boolean;
  /** Bytes that write(2) has taken: they outlive the process. */
  readonly writtenBytes: number;
  /** Bytes of acknowledged commands that it has not. */
  readonly bufferedBytes: number;
  /** Size after the last rewrite: another one means that sizes before and after it do not compare. */
  readonly baseBytes: number;
}

/**
 * Waits until what Redis has acknowledged is in its append-only file. WAITAOF is Redis 7.2; this asks INFO, which older
 * ones have: a first look says how many bytes the file will have once the buffer of that moment is written, later looks
 * whether it has them. Callers of one moment share a round; who comes while it runs shares the next one, because its
 * first look may have been before their write.
 */
export class AofBarrier {
  readonly #redis: Redis;
  #running: Promise<void> | undefined;
  #next: Promise<void> | undefined;

  constructor(redis: Redis) {
    this.#redis = redis;
  }

  /** Throws `service_unavailable` when Redis is out of reach, or does not get to write for too long. */
  written(): Promise<void> {
    if (this.#running === undefined) return this.#start();
    this.#next ??= this.#running.then(
      () => this.#start(),
      () => this.#start(),
    );
    return this.#next;
  }

  #start(): Promise<void> {
    this.#next = undefined;
    const running = this.#round().finally(() => {
      if (this.#running === running) this.#running = undefined;
    });
    this.#running = running;
    return running;
  }

  async #round(): Promise<void> {
    const untilMs = performance.now() + waitMsMax;
    let first = await this.#look();
    if (isWritten(first, first)) return;
    for (let pollMs = firstPollMs; performance.now() < untilMs; pollMs = Math.min(2 * pollMs, pollMsMax)) {
      // oxlint-disable-next-line no-await-in-loop
      await delay(pollMs);
      // oxlint-disable-next-line no-await-in-loop
      const now = await this.#look();
      if (isWritten(first, now)) return;
      if (isAnotherFile(first, now)) first = now;
    }
    throw new MillraceError('service_unavailable', 'Redis does not get to write its append-only file', {
      retryAfterS,
    });
  }

  async #look(): Promise<AofState> {
    return this.#redis.info('persistence').then(aofStateOf, (error: unknown) => {
      throw redisUnavailable(error);
    });
  }
}

/** Whether all that was acknowledged by the first look is written by the later one. Pure. */
export function isWritten(first: AofState, later: AofState): boolean {
  if (!later.enabled || later.bufferedBytes === 0) return true;
  return !isAnotherFile(first, later) && later.writtenBytes >= first.writtenBytes + first.bufferedBytes;
}

function isAnotherFile(first: AofState, later: AofState): boolean {
  return later.baseBytes !== first.baseBytes || later.writtenBytes < first.writtenBytes;
}

export function aofStateOf(info: string): AofState {
  const field = (name: string): number => Number(new RegExp(`^${name}:(\\d+)`, 'm').exec(info)?.[1] ?? 0);
  return {
    enabled: field('aof_enabled') === 1,
    writtenBytes: field('aof_current_size'),
    bufferedBytes: field('aof_buffer_length'),
    baseBytes: field('aof_base_size'),
  };
}
