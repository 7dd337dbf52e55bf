import { channels } from '../channels.ts';
import type { CacheEvent } from '../channels.ts';
import { MillraceError } from '../errors.ts';
import type { Cancellation } from '../queues/batch-former.ts';
import { createDeadlineWheel } from '../queues/deadline-wheel.ts';
import type { Expirable } from '../queues/deadline-wheel.ts';

export interface Caller {
  /** By performance.now(). */
  readonly deadlineMs: number;
  /** Aborted when the caller has left. */
  readonly signal: Cancellation;
}

/** Those who wait for a run, as they are when it asks. Aborted when all of them have left. */
export interface Waiting extends Cancellation {
  /** The latest of their deadlines. Called when the work is handed on: it is the deadline that the run carries. */
  fixDeadlineMs(): number;
}

export type Run<T> = (waiting: Waiting) => Promise<T>;

/** In place of a reason of one caller's own: it tells the flight that its run was cancelled, not failed. */
const everybodyLeft = new Error('everybody who waited has left');

/**
 * Equal requests at one time are one run: whoever comes while it is on its way waits for it.
 * - Everybody keeps the own deadline and gets `timeout` at it, alone.
 * - The run carries the latest deadline of those who wait when its work is handed on. Should it time out, it is
 *   repeated for those who came later, whose deadline is later still.
 * - Who leaves cancels nothing for the others; when all have left, the work may be cancelled.
 * - Success and failure reach all who wait; then the flight is over, and the next request begins another.
 */
export class SingleFlight<T> {
  readonly #flights = new Map<string, Flight<T>>();
  readonly #wheel = createDeadlineWheel(() => performance.now());

  /** `run` is only called when there is no equal one on its way. Rejects with its error, or with `timeout`. */
  join(key: string, caller: Caller, run: Run<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      const known = this.#flights.get(key);
      const flight = known ?? new Flight<T>();
      const expire = (): void => this.#expire(key, flight, waiter);
      const waiter = new Waiter<T>(caller.deadlineMs, { signal: caller.signal, resolve, reject, expire });
      flight.waiters.add(waiter);
      this.#wheel.add(waiter);
      if (known === undefined) {
        this.#flights.set(key, flight);
        this.#start(key, flight, run);
      } else if (channels.cache.hasSubscribers)
        channels.cache.publish({ what: 'joined', count: 1 } satisfies CacheEvent);
    });
  }

  close(): void {
    this.#wheel.close();
  }

  #start(key: string, flight: Flight<T>, run: Run<T>): void {
    run(flight).then(
      (value) => {
        this.#forget(key, flight);
        for (const waiter of flight.waiters) {
          this.#wheel.remove(waiter);
          waiter.resolve(value);
        }
        flight.waiters.clear();
      },
      (error: unknown) => this.#fail(key, flight, run, error),
    );
  }

  #fail(key: string, flight: Flight<T>, run: Run<T>, error: unknown): void {
    for (const waiter of flight.waiters) {
      if (flight.mayRepeat(error, waiter)) continue;
      flight.waiters.delete(waiter);
      this.#wheel.remove(waiter);
      waiter.reject(error);
    }
    if (flight.waiters.size === 0) this.#forget(key, flight);
    else this.#start(key, flight, run);
  }

  #expire(key: string, flight: Flight<T>, waiter: Waiter<T>): void {
    flight.waiters.delete(waiter);
    waiter.reject(new MillraceError('timeout'));
    // Nobody waits for what is still on its way; whoever comes now begins anew.
    if (flight.waiters.size === 0) this.#forget(key, flight);
  }

  #forget(key: string, flight: Flight<T>): void {
    if (this.#flights.get(key) === flight) this.#flights.delete(key);
  }
}

interface Held<T> {
  readonly signal: Cancellation;
  resolve(value: T): void;
  reject(error: unknown): void;
  expire(): void;
}

/**
 * Lets go of everything once it is settled. V8's maps and sets leave their outgrown tables behind, chained to the next,
 * and until a full collection all that a table held when it was outgrown survives with it: without this, whole
 * requests did, and a hit cost half as much again (measured).
 */
class Waiter<T> implements Expirable {
  readonly deadlineMs: number;
  #held: Held<T> | null;

  constructor(deadlineMs: number, held: Held<T>) {
    this.deadlineMs = deadlineMs;
    this.#held = held;
  }

  get hasLeft(): boolean {
    return this.#held?.signal.aborted === true;
  }

  resolve(value: T): void {
    this.#held?.resolve(value);
    this.#held = null;
  }

  reject(error: unknown): void {
    this.#held?.reject(error);
    this.#held = null;
  }

  expire(): void {
    this.#held?.expire();
  }
}

class Flight<T> implements Waiting {
  readonly waiters = new Set<Waiter<T>>();
  #runDeadlineMs = 0;

  fixDeadlineMs(): number {
    let latestMs = 0;
    for (const { deadlineMs } of this.waiters) latestMs = Math.max(latestMs, deadlineMs);
    this.#runDeadlineMs = latestMs;
    return latestMs;
  }

  get aborted(): boolean {
    for (const waiter of this.waiters) if (!waiter.hasLeft) return false;
    return true;
  }

  get reason(): Error {
    return everybodyLeft;
  }

  /** Whether `error` is not for this waiter: it came too late for the deadline of the run, or for its cancelling. */
  mayRepeat(error: unknown, waiter: Waiter<T>): boolean {
    if (waiter.hasLeft) return false;
    if (error === everybodyLeft) return true;
    return MillraceError.is(error) && error.code === 'timeout' && waiter.deadlineMs > this.#runDeadlineMs;
  }
}
