/** Something that must be told when its deadline passes. In one wheel at most. */
export interface Expirable {
  readonly deadlineMs: number;
  /** The wheel's: where the item is while it is in it. */
  place?: Place | undefined;
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

/**
 * A link of a spoke's ring. A ring and no set: V8's sets leave outgrown tables behind, which keep what they held alive
 * until a full collection, whole requests here; a link that is out of its ring holds nothing.
 */
class Place {
  item: Expirable | undefined;
  previous: Place = this;
  next: Place = this;

  constructor(item?: Expirable) {
    this.item = item;
  }

  insertBefore(other: Place): void {
    this.previous = other.previous;
    this.next = other;
    other.previous.next = this;
    other.previous = this;
  }

  remove(): void {
    this.previous.next = this.next;
    this.next.previous = this.previous;
    this.previous = this;
    this.next = this;
    this.item = undefined;
  }
}

export type { Place };

export function createDeadlineWheel(nowMs: () => number): DeadlineWheel {
  /** Of each the link that has no item. */
  const spokes = new Map<number, Place>();
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
        ring = new Place();
        spokes.set(spoke, ring);
      }
      item.place = new Place(item);
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
function empty(ring: Place, into: Expirable[]): void {
  while (ring.next !== ring) {
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
