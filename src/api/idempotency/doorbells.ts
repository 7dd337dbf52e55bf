import type { Redis } from 'ioredis';
import { channels } from '../../channels.ts';
import type { FaultEvent } from '../../channels.ts';

export interface DoorbellsOptions {
  /** A connection of role `subscriber`; may be shared with other subscriptions; stays the caller's. */
  readonly subscriber: Redis;
  /** Its messages are names: what happened to them is to be looked up. */
  readonly channel: string;
}

/** Wakes those who wait for something under a name. A message can be missed, so nobody waits for it without a limit. */
export class Doorbells {
  readonly #options: DoorbellsOptions;
  readonly #channelBytes: Buffer;
  readonly #waiting = new Map<string, Set<() => void>>();

  constructor(options: DoorbellsOptions) {
    this.#options = options;
    this.#channelBytes = Buffer.from(options.channel);
  }

  /** Does not wait for the subscription: without a connection it comes with the next one. */
  start(): void {
    const { subscriber } = this.#options;
    subscriber.on('messageBuffer', this.#onMessage);
    subscriber.on('ready', this.#subscribe);
    if (subscriber.status === 'ready') this.#subscribe();
  }

  /** `ring` is called at each message under the name, until the returned function is. */
  listen(name: string, ring: () => void): () => void {
    const listeners = this.#waiting.get(name) ?? new Set();
    this.#waiting.set(name, listeners.add(ring));
    return () => {
      listeners.delete(ring);
      if (listeners.size === 0 && this.#waiting.get(name) === listeners) this.#waiting.delete(name);
    };
  }

  async close(): Promise<void> {
    const { subscriber, channel } = this.#options;
    subscriber.off('messageBuffer', this.#onMessage);
    subscriber.off('ready', this.#subscribe);
    this.#waiting.clear();
    if (subscriber.status === 'ready') await subscriber.unsubscribe(channel).catch(publishFault);
  }

  readonly #subscribe = (): void => {
    this.#options.subscriber.subscribe(this.#options.channel).catch(publishFault);
  };

  readonly #onMessage = (channel: Buffer, message: Buffer): void => {
    if (this.#waiting.size === 0 || !channel.equals(this.#channelBytes)) return;
    for (const ring of this.#waiting.get(message.toString()) ?? []) ring();
  };
}

function publishFault(error: unknown): void {
  channels.fault.publish({
    component: 'idempotency',
    message: 'Subscription to ended requests failed',
    error,
  } satisfies FaultEvent);
}
