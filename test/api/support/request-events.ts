import { channels } from '../../../src/channels.ts';
import type { RequestEvent } from '../../../src/channels.ts';

/** What is published about requests while the surrounding block runs. */
export interface RequestEvents {
  /** The first event, past or to come, that fits. */
  first(fits: (event: RequestEvent) => boolean): Promise<RequestEvent>;
  readonly all: readonly RequestEvent[];
}

export function useRequestEvents(): RequestEvents {
  const all: RequestEvent[] = [];
  const waiting = new Set<() => void>();
  const listener = (event: unknown): void => {
    all.push(event as RequestEvent);
    for (const look of waiting) look();
  };
  before(() => channels.request.subscribe(listener));
  after(() => channels.request.unsubscribe(listener));
  return {
    all,
    first: (fits) =>
      new Promise((resolve) => {
        const look = (): void => {
          const found = all.find(fits);
          if (found === undefined) return;
          waiting.delete(look);
          resolve(found);
        };
        waiting.add(look);
        look();
      }),
  };
}
