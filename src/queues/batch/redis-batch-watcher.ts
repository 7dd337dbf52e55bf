import type { Redis } from 'ioredis';
import { channels } from '../../channels.ts';
import type { FaultEvent } from '../../channels.ts';
import type { RedisKeys } from '../lanes.ts';
import type { BatchWatcher } from './batch-ledger.ts';

export interface RedisBatchWatcherOptions {
  /** Of role `subscriber`; others may subscribe on it too. */
  readonly subscriber: Redis;
  readonly keys: RedisKeys;
}

/** To be closed before its subscriber. */
export interface ClosableBatchWatcher extends BatchWatcher {
  close(): Promise<void>;
}

/**
 * A channel a watched batch, and one of endings. Listeners are also called once a subscription stands, and after each
 * reconnect: what was published before went past us.
 */
export function createRedisBatchWatcher({
  subscriber,
  keys,
}: RedisBatchWatcherOptions): ClosableBatchWatcher {
  const listeners = new Map<string, Set<() => void>>();
  const tell = (channel: string): void => {
    for (const listener of listeners.get(channel) ?? []) listener();
  };
  const subscribe = (watched: readonly string[]): void => {
    // Without a connection `ready` does it.
    if (watched.length === 0 || subscriber.status !== 'ready') return;
    subscriber.subscribe(...watched).then(() => watched.forEach(tell), publishFault);
  };
  const unsubscribe = async (watched: readonly string[]): Promise<void> => {
    if (watched.length > 0 && subscriber.status === 'ready')
      await subscriber.unsubscribe(...watched).catch(publishFault);
  };
  const onReady = (): void => subscribe([...listeners.keys()]);
  subscriber.on('message', tell);
  subscriber.on('ready', onReady);

  const listen = (channel: string, listener: () => void): (() => void) => {
    const known = listeners.get(channel);
    const entry = (): void => listener();
    if (known === undefined) listeners.set(channel, new Set([entry]));
    else known.add(entry);
    // Also on a channel that is subscribed already: the answer comes after what was published before.
    subscribe([channel]);
    return () => {
      const others = listeners.get(channel);
      if (others?.delete(entry) !== true || others.size > 0) return;
      listeners.delete(channel);
      void unsubscribe([channel]);
    };
  };

  return {
    watch: (id, onChange) => listen(keys.batchChannel(id), onChange),
    onEnding: (listener) => listen(keys.batchEndings, listener),
    close: async () => {
      subscriber.off('message', tell);
      subscriber.off('ready', onReady);
      const watched = [...listeners.keys()];
      listeners.clear();
      await unsubscribe(watched);
    },
  };
}

function publishFault(error: unknown): void {
  const message = 'Changes of batches cannot be heard';
  channels.fault.publish({ component: 'batch-watcher', message, error } satisfies FaultEvent);
}
