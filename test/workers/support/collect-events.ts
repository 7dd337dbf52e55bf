import type { Channel } from 'node:diagnostics_channel';

export interface EventLog<Event> {
  readonly events: readonly Event[];
  /** The first event, past or to come, that `wanted` says yes to. */
  next(wanted: (event: Event) => boolean): Promise<Event>;
  stop(): void;
}

/** Keeps what a channel publishes until `stop`. */
export function collectEvents<Event>(channel: Channel): EventLog<Event> {
  const events: Event[] = [];
  const waiters = new Set<(event: Event) => void>();
  const onEvent = (message: unknown): void => {
    events.push(message as Event);
    for (const waiter of waiters) waiter(message as Event);
  };
  channel.subscribe(onEvent);
  return {
    events,
    next: (wanted) =>
      new Promise((resolve) => {
        const past = events.find(wanted);
        if (past !== undefined) return resolve(past);
        const waiter = (event: Event): void => {
          if (!wanted(event)) return;
          waiters.delete(waiter);
          resolve(event);
        };
        waiters.add(waiter);
      }),
    stop: () => channel.unsubscribe(onEvent),
  };
}
