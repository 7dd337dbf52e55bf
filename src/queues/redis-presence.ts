import type { Redis } from 'ioredis';
import { channels } from '../channels.ts';
import type { FaultEvent } from '../channels.ts';
import type { RedisKeys } from './lanes.ts';
import { redisUnavailable } from './redis-failure.ts';
import type { PresenceAnnouncer, PresenceObserver, WorkerHeartbeat } from './worker-presence.ts';

/**
 * KEYS: 1 worker, 2 index. ARGV: 1 heartbeat, 2 TTL in ms, 3 worker id, 4 channel. Returns nothing.
 * Ids whose heartbeat has expired leave the index here, so that it never outgrows the fleet.
 */
const announceScript = `
local time = redis.call('TIME')
local nowMs = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
redis.call('ZADD', KEYS[2], nowMs + ARGV[2], ARGV[3])
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', nowMs)
redis.call('PUBLISH', ARGV[4], ARGV[1])`;

/** KEYS: 1 worker, 2 index. ARGV: 1 worker id, 2 channel, 3 message. Returns nothing. */
const withdrawScript = `
redis.call('DEL', KEYS[1])
redis.call('ZREM', KEYS[2], ARGV[1])
redis.call('PUBLISH', ARGV[2], ARGV[3])`;

export interface RedisPresenceAnnouncerOptions {
  /** A connection of role `command`; stays the caller's. */
  readonly redis: Redis;
  readonly keys: RedisKeys;
  /** Three heartbeats: two may be lost before a worker counts as gone. */
  readonly ttlMs: number;
}

export function createRedisPresenceAnnouncer(options: RedisPresenceAnnouncerOptions): PresenceAnnouncer {
  const { redis, keys, ttlMs } = options;
  const run = async (script: string, workerId: string, args: readonly (string | number)[]): Promise<void> => {
    try {
      await redis.eval(script, 2, keys.worker(workerId), keys.workers, ...args);
    } catch (error) {
      throw redisUnavailable(error);
    }
  };
  return {
    announce: (heartbeat) => {
      const message = JSON.stringify(heartbeat);
      return run(announceScript, heartbeat.workerId, [
        message,
        ttlMs,
        heartbeat.workerId,
        keys.workerChannel,
      ]);
    },
    withdraw: (workerId) => {
      const message = JSON.stringify({ withdrawn: workerId });
      return run(withdrawScript, workerId, [workerId, keys.workerChannel, message]);
    },
  };
}

export interface RedisPresenceObserverOptions {
  /** A connection of role `subscriber`; may be shared with other subscriptions; stays the caller's. */
  readonly subscriber: Redis;
  /** A connection of role `command`; stays the caller's. */
  readonly redis: Redis;
  readonly keys: RedisKeys;
  readonly ttlMs: number;
  /** A monotonic clock in milliseconds. Age is counted from arrival, so a worker's own clock does not matter. */
  readonly nowMs?: () => number;
}

/** Knows the fleet when it resolves. Rejects when Redis is out of reach. */
export async function createRedisPresenceObserver(
  options: RedisPresenceObserverOptions,
): Promise<PresenceObserver> {
  const observer = new RedisPresenceObserver(options);
  await observer.start();
  return observer;
}

interface Sighting {
  readonly heartbeat: WorkerHeartbeat;
  readonly expiresAtMs: number;
}

class RedisPresenceObserver implements PresenceObserver {
  readonly #subscriber: Redis;
  readonly #redis: Redis;
  readonly #keys: RedisKeys;
  readonly #ttlMs: number;
  readonly #nowMs: () => number;
  readonly #sightings = new Map<string, Sighting>();

  constructor(options: RedisPresenceObserverOptions) {
    this.#subscriber = options.subscriber;
    this.#redis = options.redis;
    this.#keys = options.keys;
    this.#ttlMs = options.ttlMs;
    this.#nowMs = options.nowMs ?? (() => performance.now());
  }

  async start(): Promise<void> {
    this.#subscriber.on('message', this.#onMessage);
    this.#subscriber.on('ready', this.#onReady);
    this.#redis.on('ready', this.#onReady);
    await this.#subscribeAndRead();
  }

  isServed(pool: string): boolean {
    const nowMs = this.#nowMs();
    for (const { heartbeat, expiresAtMs } of this.#sightings.values())
      if (heartbeat.pool === pool && !heartbeat.draining && expiresAtMs > nowMs) return true;
    return false;
  }

  all(): readonly WorkerHeartbeat[] {
    const nowMs = this.#nowMs();
    const live: WorkerHeartbeat[] = [];
    for (const [workerId, { heartbeat, expiresAtMs }] of this.#sightings) {
      if (expiresAtMs > nowMs) live.push(heartbeat);
      else this.#sightings.delete(workerId);
    }
    return live;
  }

  async close(): Promise<void> {
    this.#subscriber.off('message', this.#onMessage);
    this.#subscriber.off('ready', this.#onReady);
    this.#redis.off('ready', this.#onReady);
    this.#sightings.clear();
    if (this.#subscriber.status === 'ready')
      await this.#subscriber.unsubscribe(this.#keys.workerChannel).catch(publishFault);
  }

  /** Subscribe first, then read: what changes in between is told by message. */
  async #subscribeAndRead(): Promise<void> {
    await this.#subscriber.subscribe(this.#keys.workerChannel);
    const ids = await this.#redis.zrange(this.#keys.workers, 0, '-1');
    if (ids.length === 0) return;
    const texts = await this.#redis.mget(...ids.map((id) => this.#keys.worker(id)));
    for (const text of texts) if (text !== null) this.#see(text);
  }

  readonly #onMessage = (channel: string, text: string): void => {
    if (channel === this.#keys.workerChannel) this.#see(text);
  };

  readonly #onReady = (): void => {
    if (this.#subscriber.status === 'ready' && this.#redis.status === 'ready')
      this.#subscribeAndRead().catch(publishFault);
  };

  #see(text: string): void {
    const message = parseMessage(text);
    if (message === undefined) {
      publishFault(new Error(`not a heartbeat: ${text.slice(0, 80)}`));
    } else if ('withdrawn' in message) {
      this.#sightings.delete(message.withdrawn);
    } else {
      // Nobody may ever ask for all: those that are gone leave when one comes, which bounds them by the fleet.
      if (!this.#sightings.has(message.workerId)) this.all();
      const expiresAtMs = this.#nowMs() + this.#ttlMs;
      this.#sightings.set(message.workerId, { heartbeat: message, expiresAtMs });
    }
  }
}

function parseMessage(text: string): WorkerHeartbeat | { readonly withdrawn: string } | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (typeof value !== 'object' || value === null) return undefined;
  const message = value as Partial<WorkerHeartbeat> & { readonly withdrawn?: unknown };
  if (typeof message.withdrawn === 'string') return { withdrawn: message.withdrawn };
  const { workerId, pool, loaded, flagged = [], hostCount, busyHostCount, draining, sentAtMs } = message;
  const valid =
    typeof workerId === 'string' &&
    typeof pool === 'string' &&
    Array.isArray(loaded) &&
    Array.isArray(flagged) &&
    typeof hostCount === 'number' &&
    typeof busyHostCount === 'number' &&
    typeof draining === 'boolean' &&
    typeof sentAtMs === 'number';
  return valid
    ? { workerId, pool, loaded, flagged, hostCount, busyHostCount, draining, sentAtMs }
    : undefined;
}

function publishFault(error: unknown): void {
  channels.fault.publish({
    component: 'presence',
    message: 'Heartbeats of workers could not be read',
    error,
  } satisfies FaultEvent);
}
