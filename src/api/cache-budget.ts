/** Entries that expire within the same 10 s are counted together: a day's TTL is 8,640 sums, an entry counts at most 10 s too long. */
const slotMs = 10_000;

/**
 * How many bytes of entries this process has in Redis at most: what it inserted and what cannot have expired yet.
 * Redis holds the queues beside the cache and evicts nothing, so the cache has to keep itself within a bound.
 * An entry that was overwritten or removed early still counts until its time: the error is on the safe side.
 */
export class CacheBudget {
  readonly #bytesMax: number;
  /** Bytes by the slot in which they have expired. */
  readonly #slots = new Map<number, number>();
  #bytes = 0;
  /** Every slot up to this one is empty. */
  #clearedSlot = 0;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  /** Takes `bytes` for `ttlMs`. False when there is no room for them. `nowMs` by one clock that never steps back. */
  take(bytes: number, ttlMs: number, nowMs: number): boolean {
    this.#clear(Math.floor(nowMs / slotMs));
    if (this.#bytes + bytes > this.#bytesMax) return false;
    const slot = Math.ceil((nowMs + ttlMs) / slotMs);
    this.#slots.set(slot, (this.#slots.get(slot) ?? 0) + bytes);
    this.#bytes += bytes;
    return true;
  }

  #clear(dueSlot: number): void {
    if (dueSlot === this.#clearedSlot) return;
    this.#clearedSlot = dueSlot;
    for (const [slot, bytes] of this.#slots) {
      if (slot > dueSlot) continue;
      this.#slots.delete(slot);
      this.#bytes -= bytes;
    }
  }
}
