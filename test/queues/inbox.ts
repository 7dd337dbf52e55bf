/** Collects what comes, and lets a test wait for the n-th without polling. */
export interface Inbox<T> {
  readonly items: readonly T[];
  push(item: T): void;
  /** Resolves as soon as `count` items have come. */
  filled(count: number): Promise<readonly T[]>;
}

export function createInbox<T>(): Inbox<T> {
  const items: T[] = [];
  const waiting = new Set<{ readonly count: number; readonly resolve: (items: readonly T[]) => void }>();
  const wake = (): void => {
    for (const waiter of waiting) {
      if (items.length < waiter.count) continue;
      waiting.delete(waiter);
      waiter.resolve(items);
    }
  };
  return {
    items,
    push: (item) => {
      items.push(item);
      wake();
    },
    filled: (count) =>
      new Promise((resolve) => {
        waiting.add({ count, resolve });
        wake();
      }),
  };
}

/** What a promise was rejected with; fails when it was not. */
export async function rejectionOf(promise: Promise<unknown>): Promise<unknown> {
  try {
    await promise;
  } catch (error) {
    return error;
  }
  throw new Error('was not rejected');
}

/**
 * The next event of that name. Not `once` of node:events, which rejects when the emitter reports an error
 * meanwhile, as a client does whose server is away.
 */
export function nextEvent(
  emitter: { once(name: string, listener: () => void): unknown },
  name: string,
): Promise<void> {
  return new Promise((resolve) => {
    emitter.once(name, () => resolve());
  });
}
