/** Something that must be told when its deadline passes. Told apart by identity. */
export interface Expirable {
  readonly deadlineMs: number;
  /** Must not throw. */
  expire(): void;
}

/** Deadlines of thousands of waiters on one timer. `expire` is called at most `spokeMs` late, never early. */
export interface DeadlineWheel {
  add(item: Expirable): void;
  remove(item: Expirable): void;
  close(): void;
}

/**
 * Items whose deadlines fall into the same 10 ms share a spoke. A waiter that is answered in time then costs two
 * set operations in place of a timer made and cleared; and 10 ms is well within the 50 ms by which an answer
 * may pass its deadline.
 */
const spokeMs = 10;

export function createDeadlineWheel(nowMs: () => number): DeadlineWheel {
  const spokes = new Map<number, Set<Expirable>>();
  let timer: NodeJS.Timeout | undefined;
  let armedFor = Number.POSITIVE_INFINITY;

  const arm = (spoke: number): void => {
    if (spoke >= armedFor) return;
    clearTimeout(timer);
    armedFor = spoke;
    timer = setTimeout(turn, Math.max(0, spoke * spokeMs - nowMs()));
  };
  const turn = (): void => {
    armedFor = Number.POSITIVE_INFINITY;
    const dueSpoke = Math.floor(nowMs() / spokeMs);
    const due: Expirable[] = [];
    let earliest = Number.POSITIVE_INFINITY;
    for (const [spoke, items] of spokes) {
      if (spoke > dueSpoke) earliest = Math.min(earliest, spoke);
      else {
        spokes.delete(spoke);
        due.push(...items);
      }
    }
    for (const item of due) item.expire();
    if (earliest !== Number.POSITIVE_INFINITY) arm(earliest);
  };

  return {
    add: (item) => {
      const spoke = spokeOf(item);
      const items = spokes.get(spoke);
      if (items === undefined) spokes.set(spoke, new Set([item]));
      else items.add(item);
      arm(spoke);
    },
    // The timer stays: at most one needless turn, where clearing it would cost one timer a request again.
    remove: (item) => {
      const spoke = spokeOf(item);
      const items = spokes.get(spoke);
      if (items?.delete(item) === true && items.size === 0) spokes.delete(spoke);
    },
    close: () => {
      clearTimeout(timer);
      spokes.clear();
    },
  };
}

/** The first multiple of `spokeMs` that is not before the deadline. */
function spokeOf(item: Expirable): number {
  return Math.ceil(item.deadlineMs / spokeMs);
}
