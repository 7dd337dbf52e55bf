import type { Redis } from 'ioredis';
import { channels } from '../channels.ts';
import type { FaultEvent } from '../channels.ts';
import { MillraceError } from '../errors.ts';
import type { RedisKeys } from './lanes.ts';
import type { ResultReceiver } from './result-channel.ts';
import { decodeFrame, decodeResult } from './result.ts';
import type { ResultOutcome } from './result.ts';

export interface RedisResultReceiverOptions {
  /** A connection of role `subscriber`; may be shared with other subscriptions; stays the caller's. */
  readonly subscriber: Redis;
  /** A connection of role `command`; stays the caller's. */
  readonly redis: Redis;
  readonly keys: RedisKeys;
  /** ULID of this API process. */
  readonly replyTo: string;
}

/** Results received before they are removed from Redis together; see `keptMax` of the publisher. */
export const acknowledgeCountMax = 128;
/**
 * A message can be lost on a connection that looks healthy (a slow subscriber that was cut, a failover), so any
 * result that is this late is looked for. One HKEYS a second, and only while something is late.
 */
const sweepMs = 1000;
/** Forgotten jobs whose late result would still be recognised, oldest out first. */
const forgottenMax = 1024;

interface Waiter {
  /** Undefined once it is over: the map leaves tables behind that would keep all that hangs on it (see ring.ts). */
  settle: ((outcome: ResultOutcome) => void) | undefined;
  readonly sinceMs: number;
}

/** Subscribes before it resolves, so no result can come too early. Rejects when Redis is out of reach. */
export async function createRedisResultReceiver(
  options: RedisResultReceiverOptions,
): Promise<ResultReceiver> {
  const receiver = new RedisResultReceiver(options);
  await receiver.start();
  return receiver;
}

/**
 * Two ways lead to a waiter: the message, and, when that was lost, the result hash (`readBack`). The hash holds
 * what this process has not acknowledged. Whichever comes first settles; the other finds no waiter.
 */
class RedisResultReceiver implements ResultReceiver {
  readonly replyTo: string;
  readonly #subscriber: Redis;
  readonly #redis: Redis;
  readonly #keys: RedisKeys;
  readonly #channel: string;
  readonly #channelBytes: Buffer;
  readonly #waiters = new Map<string, Waiter>();
  readonly #forgotten = new Map<string, () => void>();
  /** Received and not yet removed from the hash. */
  #acknowledgeable: string[] = [];
  #sweepTimer: NodeJS.Timeout | undefined;
  #subscribed = false;
  #readingBack = false;
  /** The subscription was interrupted and the hash not yet read since. */
  #mayHaveMissed = false;

  constructor(options: RedisResultReceiverOptions) {
    this.replyTo = options.replyTo;
    this.#subscriber = options.subscriber;
    this.#redis = options.redis;
    this.#keys = options.keys;
    this.#channel = options.keys.resultChannel(options.replyTo);
    this.#channelBytes = Buffer.from(this.#channel);
  }

  get connected(): boolean {
    return this.#subscribed;
  }

  async start(): Promise<void> {
    this.#subscriber.on('messageBuffer', this.#onMessage);
    this.#subscriber.on('close', this.#onClose);
    this.#subscriber.on('ready', this.#onReady);
    this.#redis.on('ready', this.#onCommandReady);
    await this.#subscriber.subscribe(this.#channel);
    this.#subscribed = true;
    this.#sweepTimer = setInterval(this.#sweep, sweepMs);
  }

  expect(jobId: string, settle: (outcome: ResultOutcome) => void): void {
    this.#waiters.set(jobId, { settle, sinceMs: performance.now() });
  }

  forget(jobId: string, late: () => void): void {
    const waiter = this.#waiters.get(jobId);
    if (waiter === undefined) return;
    this.#waiters.delete(jobId);
    waiter.settle = undefined;
    this.#forgotten.set(jobId, late);
    if (this.#forgotten.size <= forgottenMax) return;
    const [oldest] = this.#forgotten.keys();
    if (oldest !== undefined) this.#forgotten.delete(oldest);
  }

  async close(): Promise<void> {
    clearInterval(this.#sweepTimer);
    this.#subscriber.off('messageBuffer', this.#onMessage);
    this.#subscriber.off('close', this.#onClose);
    this.#subscriber.off('ready', this.#onReady);
    this.#redis.off('ready', this.#onCommandReady);
    this.#subscribed = false;
    this.#waiters.clear();
    this.#forgotten.clear();
    if (this.#subscriber.status === 'ready')
      await this.#subscriber.unsubscribe(this.#channel).catch(publishFault);
    // Out of reach, the hash ends by its time to live.
    if (this.#redis.status === 'ready')
      await this.#redis.unlink(this.#keys.resultHash(this.replyTo)).catch(publishFault);
  }

  readonly #onMessage = (channel: Buffer, frame: Buffer): void => {
    if (channel.equals(this.#channelBytes)) this.#receive(frame);
  };

  readonly #onClose = (): void => {
    this.#subscribed = false;
    this.#mayHaveMissed = true;
  };

  /** The client subscribes again by itself, but only the reply says that messages flow: what came before it may be missed. */
  readonly #onReady = (): void => {
    this.#subscriber.subscribe(this.#channel).then(() => {
      this.#subscribed = true;
      void this.#readBack();
    }, publishFault);
  };

  readonly #onCommandReady = (): void => {
    if (this.#mayHaveMissed && this.#subscribed) void this.#readBack();
  };

  readonly #sweep = (): void => {
    this.#acknowledge();
    // Map order is order of expect: the first waiter is the oldest.
    const [oldest] = this.#waiters.values();
    const late = oldest !== undefined && performance.now() - oldest.sinceMs > sweepMs;
    if (late || this.#mayHaveMissed) void this.#readBack();
  };

  #receive(frame: Buffer): void {
    const decoded = decodeFrame(frame);
    if (decoded.kind === 'unreadable') {
      publishFault(new MillraceError('internal_error', 'A message on the result channel is not a result'));
    } else if (decoded.kind === 'refused') {
      this.#settle(decoded.id, { kind: 'unreadable', error: decoded.error });
    } else if (decoded.tensors !== null) {
      if (this.#waiters.has(decoded.id))
        this.#settle(decoded.id, decodeResult(decoded.header, decoded.tensors));
      else this.#settle(decoded.id, undefined);
    } else {
      void this.#fetchTensors(decoded.id, decoded.header).catch(publishFault);
    }
  }

  /** When Redis fails meanwhile, the waiter stays and the next sweep finds the frame again. */
  async #fetchTensors(id: string, header: Parameters<typeof decodeResult>[0]): Promise<void> {
    if (!this.#waiters.has(id)) {
      this.#settle(id, undefined);
      return;
    }
    const key = this.#keys.resultTensors(this.replyTo, id);
    const tensors = await this.#redis.getBuffer(key);
    this.#settle(id, tensors === null ? tensorsGone : decodeResult(header, tensors));
    await this.#redis.unlink(key);
  }

  /** `outcome` is undefined where nobody waits any more. */
  #settle(id: string, outcome: ResultOutcome | undefined): void {
    this.#acknowledgeable.push(id);
    if (this.#acknowledgeable.length >= acknowledgeCountMax) this.#acknowledge();
    const waiter = this.#waiters.get(id);
    if (waiter !== undefined && outcome !== undefined) {
      this.#waiters.delete(id);
      const { settle } = waiter;
      waiter.settle = undefined;
      settle?.(outcome);
      return;
    }
    // Neither waited for nor forgotten: a second result of a job that ran twice. Only the first counts.
    const late = this.#forgotten.get(id);
    this.#forgotten.delete(id);
    late?.();
  }

  #acknowledge(): void {
    if (this.#acknowledgeable.length === 0 || this.#redis.status !== 'ready') return;
    const ids = this.#acknowledgeable;
    this.#acknowledgeable = [];
    // Lost when Redis fails: the next read-back removes what has no waiter.
    this.#redis.hdel(this.#keys.resultHash(this.replyTo), ...ids).catch(publishFault);
  }

  async #readBack(): Promise<void> {
    if (this.#readingBack || this.#redis.status !== 'ready') return;
    this.#readingBack = true;
    const interrupted = this.#mayHaveMissed;
    // Cleared first: an interruption during the read must cause another.
    if (this.#subscribed) this.#mayHaveMissed = false;
    try {
      const missedCount = await this.#settleKept();
      if (missedCount > 0 && !interrupted) this.#replaceSubscription(missedCount);
    } catch (error) {
      this.#mayHaveMissed = true;
      publishFault(error);
    } finally {
      this.#readingBack = false;
    }
  }

  /**
   * Settles what the hash holds for waiters and removes the rest. Returns the number of waiters whose message had
   * not come by the second reply, a round trip after the frame was there: under load one is often on its way.
   */
  async #settleKept(): Promise<number> {
    const hash = this.#keys.resultHash(this.replyTo);
    const kept = await this.#redis.hkeys(hash);
    const missed = kept.filter((id) => this.#waiters.has(id));
    for (const id of kept) if (!this.#waiters.has(id)) this.#settle(id, undefined);
    const frames = missed.length === 0 ? [] : await this.#redis.hmgetBuffer(hash, ...missed);
    const missedCount = missed.filter((id) => this.#waiters.has(id)).length;
    for (const frame of frames) if (frame !== null) this.#receive(frame);
    this.#acknowledge();
    return missedCount;
  }

  /** A result was there, its message was not: the socket is dead, and only a new one will find out. */
  #replaceSubscription(missedCount: number): void {
    publishFault(new MillraceError('internal_error', `${missedCount} results came without their message`));
    this.#subscriber.disconnect(true);
  }
}

const tensorsGone: ResultOutcome = {
  kind: 'unreadable',
  error: new MillraceError('service_unavailable', 'The result was gone before it was read'),
};

function publishFault(error: unknown): void {
  channels.fault.publish({
    component: 'result-receiver',
    message: 'Results could not be read from Redis',
    error,
  } satisfies FaultEvent);
}
