import type { Redis } from 'ioredis';
import { channels } from '../channels.ts';
import type { DropEvent, FaultEvent, NoticeEvent } from '../channels.ts';
import { MillraceError } from '../errors.ts';

export interface MemoryGuardOptions {
  /** A connection of role `command`; stays the caller's. */
  readonly redis: Redis;
  /** Percent of `maxmemory` from which on new work is refused. */
  readonly percentMax: number;
}

/** Two a second cost nothing; ten while it may matter within the next moments. */
const calmPollMs = 500;
const tensePollMs = 100;
const tensePressure = 0.25;
/** Points below `percentMax` at which new work is taken again: without a gap every other request would be refused. */
const hysteresisPercent = 5;
/** Memory comes back as accepted work finishes and as entries of the cache expire. */
const retryAfterS = 2;

/**
 * Watches how full Redis is. Once it is full it refuses not only jobs that are added but also the scripts that settle
 * them, and finished work is run again and again: so new work is refused while there is room for what was accepted.
 */
export class MemoryGuard {
  readonly #options: MemoryGuardOptions;
  #pressure = 0;
  #isShort = false;
  #timer: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(options: MemoryGuardOptions) {
    this.#options = options;
  }

  /** Begins to look; resolves once it has looked, or could not. */
  async start(): Promise<void> {
    this.#options.redis.on('ready', this.#lookNow);
    await this.#look();
  }

  /** Used memory in parts of `maxmemory`, at most half a second old; 0 where Redis has no limit. */
  pressure(): number {
    return this.#pressure;
  }

  /** Throws `service_unavailable` while Redis is short of memory. */
  admit(): void {
    if (!this.#isShort) return;
    channels.drop.publish({ reason: 'rejected', stage: 'memory', requests: 1 } satisfies DropEvent);
    throw new MillraceError('service_unavailable', 'The queue is short of memory', { retryAfterS });
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
    this.#options.redis.off('ready', this.#lookNow);
  }

  readonly #lookNow = (): void => void this.#look();

  async #look(): Promise<void> {
    clearTimeout(this.#timer);
    const { redis } = this.#options;
    // Out of reach it refuses by itself; what is known of its memory stands until it is back.
    if (redis.status === 'ready') await redis.info('memory').then(this.#take, publishFault);
    if (this.#closed) return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(this.#lookNow, this.#pressure < tensePressure ? calmPollMs : tensePollMs);
  }

  readonly #take = (info: string): void => {
    this.#pressure = pressureOf(info);
    const percent = this.#pressure * 100;
    const { percentMax } = this.#options;
    const isShort = percent >= (this.#isShort ? percentMax - hysteresisPercent : percentMax);
    if (isShort === this.#isShort) return;
    this.#isShort = isShort;
    if (isShort) publishFault(new Error(`${Math.round(percent)} % of its memory is in use`));
    else channels.notice.publish({ component, message: 'New work is taken again' } satisfies NoticeEvent);
  };
}

/** As Redis itself compares them: buffers of replicas and of the AOF do not count. Pure. */
export function pressureOf(info: string): number {
  const maxBytes = fieldOf(info, 'maxmemory');
  if (maxBytes === 0) return 0;
  return Math.max(0, fieldOf(info, 'used_memory') - fieldOf(info, 'mem_not_counted_for_evict')) / maxBytes;
}

/** 0 where there is none. */
function fieldOf(info: string, name: string): number {
  return Number(new RegExp(`^${name}:(\\d+)`, 'm').exec(info)?.[1] ?? 0);
}

const component = 'memory-guard';

function publishFault(error: unknown): void {
  const message = 'Redis is short of memory, or does not tell';
  channels.fault.publish({ component, message, error } satisfies FaultEvent);
}
