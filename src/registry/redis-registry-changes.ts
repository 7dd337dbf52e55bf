import type { Redis } from 'ioredis';
import { channels } from '../channels.ts';
import type { FaultEvent } from '../channels.ts';
import { MillraceError } from '../errors.ts';
import type { RegistryChanges } from './changes.ts';

export interface RedisRegistryChangesOptions {
  /** Of role `command`. */
  readonly publisher: Redis;
  /** Of role `subscriber`; others may subscribe on it too. Null where a process only announces. */
  readonly subscriber: Redis | null;
  readonly prefix: string;
}

export class RedisRegistryChanges implements RegistryChanges {
  readonly #options: RedisRegistryChangesOptions;
  readonly #channel: string;
  #onChange: (() => void) | undefined;

  constructor(options: RedisRegistryChangesOptions) {
    this.#options = options;
    this.#channel = `${options.prefix}:registry:changed`;
  }

  async announce(): Promise<void> {
    try {
      await this.#options.publisher.publish(this.#channel, '');
    } catch (cause) {
      throw new MillraceError('service_unavailable', 'The change could not be announced', { cause });
    }
  }

  async subscribe(onChange: () => void): Promise<void> {
    const { subscriber } = this.#options;
    if (subscriber === null) throw new Error('this process was given no subscriber');
    this.#onChange = onChange;
    subscriber.on('message', this.#onMessage);
    // After a reconnect: announcements meanwhile went past us.
    subscriber.on('ready', this.#onReady);
    if (subscriber.status === 'ready') await this.#listen(subscriber);
  }

  async close(): Promise<void> {
    const { subscriber } = this.#options;
    if (subscriber === null || this.#onChange === undefined) return;
    this.#onChange = undefined;
    subscriber.off('message', this.#onMessage);
    subscriber.off('ready', this.#onReady);
    // Without a connection there is nothing to leave.
    if (subscriber.status === 'ready') await subscriber.unsubscribe(this.#channel).catch(reportFault);
  }

  readonly #onMessage = (channel: string): void => {
    if (channel === this.#channel) this.#onChange?.();
  };

  readonly #onReady = (): void => {
    const { subscriber } = this.#options;
    if (subscriber === null) return;
    void this.#listen(subscriber).then(() => this.#onChange?.());
  };

  /** Safe to repeat: the client subscribes again by itself, and this only waits until that stands. */
  async #listen(subscriber: Redis): Promise<void> {
    await subscriber.subscribe(this.#channel).catch(reportFault);
  }
}

function reportFault(error: unknown): void {
  const event: FaultEvent = { component: 'registry', message: 'Subscription to changes failed', error };
  channels.fault.publish(event);
}
