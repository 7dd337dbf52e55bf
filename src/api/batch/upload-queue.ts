import { channels } from '../../channels.ts';
import type { DropEvent } from '../../channels.ts';
import { MillraceError } from '../../errors.ts';
import type { Admission, Permit } from '../admission.ts';

export interface UploadQueueOptions {
  readonly admission: Pick<Admission, 'tryAdmit' | 'inFlightMax'>;
  /** Uploads that wait at once: some 2 KiB each, and a socket. */
  readonly waitingMax: number;
  /** An upload that has not begun by then is refused. */
  readonly waitMsMax: number;
}

interface Waiting {
  readonly model: string;
  readonly dueMs: number;
  readonly resolve: (permit: Permit) => void;
  readonly reject: (error: MillraceError) => void;
}

/** How often it is looked whether there is room, while anybody waits: permits are held for some milliseconds. */
const lookMs = 5;

/**
 * Permits for uploads. A prediction is refused when there is none, since it would be late; an upload has time, and
 * waits, unread: thousands that come at once need not come again, nor do they take the time of predictions. Callers
 * take turns, the uploads of one in their order. No caller gets more than half of the permits, or of the places to
 * wait: uploads may stand open for as long as their caller likes, and all others would wait behind them.
 */
export class UploadQueue {
  readonly #options: UploadQueueOptions;
  /** Permits that a caller holds; never a zero. */
  readonly #held = new Map<string, number>();
  /** What waits, by caller, whose turn it is first; never an empty line. */
  readonly #lines = new Map<string, Waiting[]>();
  #waitingCount = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: UploadQueueOptions) {
    this.#options = options;
  }

  get waitingCount(): number {
    return this.#waitingCount;
  }

  /** `model` as the path names it, '' where it does not. Rejects with `service_unavailable`. */
  admit(caller: string, model: string): Promise<Permit> {
    const { waitingMax, waitMsMax } = this.#options;
    const nowMs = performance.now();
    const permit = this.#waitingCount === 0 ? this.#tryAdmit(caller, model, nowMs) : undefined;
    if (permit !== undefined) return Promise.resolve(permit);
    const line = this.#lines.get(caller) ?? [];
    if (this.#waitingCount >= waitingMax || line.length >= halfOf(waitingMax))
      return Promise.reject(refused());
    if (this.#timer === undefined) this.#timer = setTimeout(this.#look, lookMs);
    this.#lines.set(caller, line);
    this.#waitingCount += 1;
    return new Promise((resolve, reject) => {
      line.push({ model, dueMs: nowMs + waitMsMax, resolve, reject });
    });
  }

  /** Undefined when there is no permit, or the caller holds its half of them. */
  #tryAdmit(caller: string, model: string, nowMs: number): Permit | undefined {
    const { admission } = this.#options;
    const held = this.#held.get(caller) ?? 0;
    const permit = held < halfOf(admission.inFlightMax) ? admission.tryAdmit(model, nowMs) : undefined;
    if (permit === undefined) return undefined;
    this.#held.set(caller, held + 1);
    return {
      release: () => {
        permit.release();
        const left = (this.#held.get(caller) ?? 0) - 1;
        if (left > 0) this.#held.set(caller, left);
        else this.#held.delete(caller);
      },
    };
  }

  readonly #look = (): void => {
    const nowMs = performance.now();
    // Who gets a permit goes to the end of the map, and is come to again.
    for (const [caller, line] of this.#lines) {
      const permit = this.#tryAdmit(caller, (line[0] as Waiting).model, nowMs);
      if (permit === undefined) this.#refuseLate(caller, line, nowMs);
      else {
        const { resolve } = line.shift() as Waiting;
        this.#waitingCount -= 1;
        this.#lines.delete(caller);
        if (line.length > 0) this.#lines.set(caller, line);
        resolve(permit);
      }
    }
    this.#timer = this.#waitingCount === 0 ? undefined : setTimeout(this.#look, lookMs);
  };

  #refuseLate(caller: string, line: Waiting[], nowMs: number): void {
    const first = line.findIndex(({ dueMs }) => dueMs >= nowMs);
    const late = line.splice(0, first < 0 ? line.length : first);
    this.#waitingCount -= late.length;
    if (line.length === 0) this.#lines.delete(caller);
    for (const { reject } of late) reject(refused());
  }
}

/** Rounded up: of one permit, one. */
function halfOf(count: number): number {
  return Math.ceil(count / 2);
}

function refused(): MillraceError {
  channels.drop.publish({ reason: 'rejected', stage: 'admission', requests: 1 } satisfies DropEvent);
  return new MillraceError('service_unavailable', 'Too many uploads are in progress', { retryAfterS: 5 });
}
