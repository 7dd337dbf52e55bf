import { setTimeout as delay } from 'node:timers/promises';
import type { Redis } from 'ioredis';
import { channels } from '../channels.ts';
import type { FaultEvent, NoticeEvent } from '../channels.ts';
import type { Engine } from './data-plane.ts';

export interface StartedEngine extends Engine {
  /** Whether results can arrive now. */
  connected(): boolean;
  close(): Promise<void>;
}

export interface EngineLinkOptions {
  /** Connections that must stand before `connect` makes sense. */
  readonly clients: readonly Redis[];
  /** Subscribes and reads what the engine needs to begin. Cleans up after itself when it rejects. */
  readonly connect: () => Promise<StartedEngine>;
  readonly retryMs: number;
}

/**
 * waiting → connected → closed. The API starts without Redis and answers 503 until it comes; then the engine
 * is made once, and from there on its parts see to their own reconnects.
 */
export class EngineLink {
  readonly #options: EngineLinkOptions;
  readonly #closing = new AbortController();
  #engine: StartedEngine | undefined;
  #connecting: Promise<void> | undefined;

  constructor(options: EngineLinkOptions) {
    this.#options = options;
  }

  /** Undefined while Redis was never reached, and again after `close`. */
  get engine(): StartedEngine | undefined {
    return this.#engine;
  }

  /** Begins; does not wait. */
  start(): void {
    this.#connecting = this.#connect();
  }

  async close(): Promise<void> {
    this.#closing.abort();
    await this.#connecting;
    const engine = this.#engine;
    this.#engine = undefined;
    await engine?.close();
  }

  /** Tries one after the other on purpose; never rejects. */
  async #connect(): Promise<void> {
    const { clients, connect, retryMs } = this.#options;
    const { signal } = this.#closing;
    while (!signal.aborted) {
      try {
        // oxlint-disable-next-line no-await-in-loop
        await Promise.all(clients.map((client) => whenReady(client, signal)));
        if (signal.aborted) return;
        // oxlint-disable-next-line no-await-in-loop
        this.#engine = await connect();
        const event: NoticeEvent = { component: 'engine', message: 'the queue is joined' };
        channels.notice.publish(event);
        return;
      } catch (error) {
        const event: FaultEvent = { component: 'engine', message: 'The queue could not be joined', error };
        channels.fault.publish(event);
        // oxlint-disable-next-line no-await-in-loop
        await delay(retryMs, undefined, { signal }).catch(() => undefined);
      }
    }
  }
}

function whenReady(client: Redis, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (client.status === 'ready' || signal.aborted) return resolve();
    const done = (): void => {
      client.off('ready', done);
      signal.removeEventListener('abort', done);
      resolve();
    };
    client.on('ready', done);
    signal.addEventListener('abort', done);
  });
}
