import { channels } from '../channels.ts';
import type { DropEvent, StreamEvent } from '../channels.ts';
import { MillraceError } from '../errors.ts';

export interface StreamLimits {
  /** Of all callers of this process. */
  readonly countMax: number;
  readonly perCallerMax: number;
}

const retryAfterS = 5;

/** Answers that stay open for long hold memory and a socket each: there are only so many, and of one caller fewer. */
export class StreamPermits {
  readonly #kind: StreamEvent['kind'];
  readonly #limits: StreamLimits;
  readonly #byCaller = new Map<string, number>();
  #count = 0;

  constructor(kind: StreamEvent['kind'], limits: StreamLimits) {
    this.#kind = kind;
    this.#limits = limits;
  }

  get count(): number {
    return this.#count;
  }

  /** Returns what gives the permit back, to be called once. Throws `service_unavailable` when there is none. */
  take(caller: string): () => void {
    const own = this.#byCaller.get(caller) ?? 0;
    const { countMax, perCallerMax } = this.#limits;
    if (own >= perCallerMax) throw refused(`This caller has ${own} open already`);
    if (this.#count >= countMax) throw refused('This process has as many open as it may');
    this.#count += 1;
    this.#byCaller.set(caller, own + 1);
    channels.stream.publish({ kind: this.#kind, change: 'opened' } satisfies StreamEvent);
    return () => this.#giveBack(caller);
  }

  #giveBack(caller: string): void {
    this.#count -= 1;
    const left = (this.#byCaller.get(caller) ?? 1) - 1;
    if (left === 0) this.#byCaller.delete(caller);
    else this.#byCaller.set(caller, left);
    channels.stream.publish({ kind: this.#kind, change: 'ended' } satisfies StreamEvent);
  }
}

function refused(details: string): MillraceError {
  channels.drop.publish({ reason: 'rejected', stage: 'streams', requests: 1 } satisfies DropEvent);
  return new MillraceError('service_unavailable', 'Too many streams are open', { details, retryAfterS });
}
