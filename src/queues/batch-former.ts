import { Link } from './ring.ts';

/** Whether anybody still waits, asked when it matters. An AbortSignal is one. */
export type Cancellation = Pick<AbortSignal, 'aborted' | 'reason'>;

/** What the policy must know of a waiting request. Entries are told apart by identity. */
export interface BatchEntry {
  /** Entries of different versions never share a batch. */
  readonly versionKey: string;
  /** Nor do entries whose tensors cannot be joined, or that ask for different outputs. */
  readonly compatibilityKey: string;
  readonly rowCount: number;
  readonly bytes: number;
  readonly deadlineMs: number;
  readonly signal?: Cancellation | undefined;
  /** The former's: where the entry waits, while it does. */
  turn?: Link<BatchEntry> | undefined;
}

export interface BatchBounds {
  readonly rowsMax: number;
  readonly bytesMax: number;
}

export interface Batch<E extends BatchEntry> {
  readonly versionKey: string;
  /** In the order in which they were added; never empty. */
  readonly entries: readonly E[];
  readonly rowCount: number;
  readonly bytes: number;
}

export interface DroppedEntry<E extends BatchEntry> {
  readonly entry: E;
  /** `late`: its deadline would pass before its job is back. */
  readonly reason: 'expired' | 'late' | 'cancelled';
}

export interface HandOff<E extends BatchEntry> {
  readonly batch: Batch<E> | undefined;
  /** Entries that were next but that are too late or whose caller has left: they never run. */
  readonly dropped: readonly DroppedEntry<E>[];
}

/**
 * The policy by which requests become batches: pure, without clock, timers or I/O.
 * - First in, first out within a group (version and compatibility key); an entry that does not fit ends its
 *   batch rather than being overtaken.
 * - Groups of a version take turns, and so do versions: one that is always full starves no other.
 * - A batch stays within its bounds, except that an entry which alone exceeds them makes a batch of its own.
 * - Every entry leaves exactly once: in a batch, dropped, or removed.
 */
export interface BatchFormer<E extends BatchEntry> {
  add(entry: E, bounds: BatchBounds): void;
  /** Takes a waiting entry out. False when it is no longer waiting. */
  remove(entry: E): boolean;
  /** The next batch of the first version, in turn, that `mayLeave` lets go, without entries that have no `neededMs` left. */
  take(
    nowMs: number,
    mayLeave?: (versionKey: string) => boolean,
    neededMs?: (entry: E) => number,
  ): HandOff<E>;
  /** Rows of a version that wait. */
  rowsOf(versionKey: string): number;
  readonly rowCount: number;
  readonly entryCount: number;
}

interface VersionQueue<E extends BatchEntry> {
  /** Those of the newest entry: a version is immutable, so they only differ when the settings do. */
  bounds: BatchBounds;
  rowCount: number;
  /** By compatibility key, in the order of their turns: the head of each. No group is empty. */
  readonly groups: Map<string, Link<E>>;
}

export function createBatchFormer<E extends BatchEntry>(): BatchFormer<E> {
  /** In the order of their turns; no version is without a group. */
  const versions = new Map<string, VersionQueue<E>>();
  let rowCount = 0;
  let entryCount = 0;

  const takeOut = (queue: VersionQueue<E>, entry: E): void => {
    entry.turn?.remove();
    entry.turn = undefined;
    queue.rowCount -= entry.rowCount;
    rowCount -= entry.rowCount;
    entryCount -= 1;
  };
  return {
    add: (entry, bounds) => {
      const queue = getOrInsert(versions, entry.versionKey, () => ({
        bounds,
        rowCount: 0,
        groups: new Map(),
      }));
      queue.bounds = bounds;
      queue.rowCount += entry.rowCount;
      const turn = new Link(entry);
      turn.insertBefore(getOrInsert(queue.groups, entry.compatibilityKey, () => new Link<E>()));
      entry.turn = turn as unknown as Link<BatchEntry>;
      rowCount += entry.rowCount;
      entryCount += 1;
    },
    remove: (entry) => {
      const queue = versions.get(entry.versionKey);
      const group = queue?.groups.get(entry.compatibilityKey);
      if (queue === undefined || group === undefined || entry.turn === undefined) return false;
      takeOut(queue, entry);
      if (group.isAlone) queue.groups.delete(entry.compatibilityKey);
      if (queue.groups.size === 0) versions.delete(entry.versionKey);
      return true;
    },
    take: (nowMs, mayLeave = always, neededMs = none) => {
      const dropped: DroppedEntry<E>[] = [];
      for (const [versionKey, queue] of versions) {
        if (!mayLeave(versionKey)) continue;
        const batch = takeOfVersion(
          versionKey,
          queue,
          (entry) => whyDropped(entry, nowMs, neededMs(entry)),
          dropped,
          takeOut,
        );
        moveToEnd(versions, versionKey, queue, queue.groups.size > 0);
        if (batch !== undefined) return { batch, dropped };
      }
      return { batch: undefined, dropped };
    },
    rowsOf: (versionKey) => versions.get(versionKey)?.rowCount ?? 0,
    get rowCount() {
      return rowCount;
    },
    get entryCount() {
      return entryCount;
    },
  };
}

function takeOfVersion<E extends BatchEntry>(
  versionKey: string,
  queue: VersionQueue<E>,
  whyNot: (entry: E) => DroppedEntry<E>['reason'] | undefined,
  dropped: DroppedEntry<E>[],
  takeOut: (queue: VersionQueue<E>, entry: E) => void,
): Batch<E> | undefined {
  const { groups, bounds } = queue;
  for (const [compatibilityKey, group] of groups) {
    const entries: E[] = [];
    let rowCount = 0;
    let bytes = 0;
    for (let first = group.next.item; first !== undefined; first = group.next.item) {
      const entry = first;
      const reason = whyNot(entry);
      if (reason !== undefined) {
        dropped.push({ entry, reason });
      } else {
        const fits = rowCount + entry.rowCount <= bounds.rowsMax && bytes + entry.bytes <= bounds.bytesMax;
        if (!fits && entries.length > 0) break;
        entries.push(entry);
        rowCount += entry.rowCount;
        bytes += entry.bytes;
      }
      takeOut(queue, entry);
    }
    moveToEnd(groups, compatibilityKey, group, !group.isAlone);
    if (entries.length > 0) return { versionKey, entries, rowCount, bytes };
  }
  return undefined;
}

function whyDropped(
  { signal, deadlineMs }: BatchEntry,
  nowMs: number,
  neededMs: number,
): DroppedEntry<BatchEntry>['reason'] | undefined {
  if (signal?.aborted === true) return 'cancelled';
  if (deadlineMs <= nowMs) return 'expired';
  return deadlineMs < nowMs + neededMs ? 'late' : undefined;
}

function none(): number {
  return 0;
}

function always(): boolean {
  return true;
}

/** A Map iterates in order of insertion: whoever had its turn goes to the back, or away when nothing is left of it. */
function moveToEnd<K, V>(map: Map<K, V>, key: K, value: V, keep: boolean): void {
  if (keep && map.size === 1) return;
  map.delete(key);
  if (keep) map.set(key, value);
}

function getOrInsert<K, V>(map: Map<K, V>, key: K, make: () => V): V {
  let value = map.get(key);
  if (value === undefined) {
    value = make();
    map.set(key, value);
  }
  return value;
}
