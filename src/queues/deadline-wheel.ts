import { Link } from './ring.ts';

/** Something that must be told when its deadline passes. In one wheel at most. */
export interface Expirable {
  readonly deadlineMs: number;
  /** The wheel's: where the item is while it is in it. */
  place?: Link<Expirable> | undefined;
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
 * Items whose deadlines fall into the same 10 ms share a spoke. A waiter that is answered in time then costs a few
 * assignments in place of a timer made and cleared; and 10 ms is well within the 50 ms by which an answer may pass
 * its deadline.
 */
const spokeMs = 10;

export function createDeadlineWheel(nowMs: () => number): DeadlineWheel {
  /** The head of each. */
  const spokes = new Map<number, Link<Expirable>>();
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
    for (const [spoke, ring] of spokes) {
      if (spoke > dueSpoke) earliest = Math.min(earliest, spoke);
      else {
        spokes.delete(spoke);
        empty(ring, due);
      }
    }
    for (const item of due) item.expire();
    if (earliest !== Number.POSITIVE_INFINITY) arm(earliest);
  };

  return {
    add: (item) => {
      const spoke = spokeOf(item);
      let ring = spokes.get(spoke);
      if (ring === undefined) {
        ring = new Link();
        spokes.set(spoke, ring);
      }
      item.place = new Link<Expirable>(item);
      item.place.insertBefore(ring);
      arm(spoke);
    },
    // Timer and spoke stay: at most one needless turn, where clearing them would cost one timer a request again.
    remove: (item) => {
      item.place?.remove();
      item.place = undefined;
    },
    close: () => {
      clearTimeout(timer);
      spokes.clear();
    },
  };
}

/** Takes all items of a ring out, in the order in which they were added. */
function empty(ring: Link<Expirable>, into: Expirable[]): void {
  while (!ring.isAlone) {
    const { item } = ring.next;
    ring.next.remove();
    if (item === undefined) continue;
    item.place = undefined;
    into.push(item);
  }
}

/** The first multiple of `spokeMs` that is not before the deadline. */
function spokeOf(item: Expirable): number {
  return Math.ceil(item.deadlineMs / spokeMs);
}
