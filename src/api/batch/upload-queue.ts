import { channels } from '../../channels.ts';
import type { DropEvent } from '../../channels.ts';
import { MillraceError } from '../../errors.ts';
import type { Admission, Permit } from '../admission.ts';

export interface UploadQueueOptions {
  readonly admission: Pick<Admission, 'tryAdmit'>;
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
 * waits, unread, in order: thousands that come at once need not come again, nor do they take the time of predictions.
 */
export class UploadQueue {
  readonly #options: UploadQueueOptions;
  readonly #waiting: Waiting[] = [];
  #timer: NodeJS.Timeout | undefined;

  constructor(options: UploadQueueOptions) {
    this.#options = options;
  }

  get waitingCount(): number {
    return this.#waiting.length;
  }

  /** `model` as the path names it, '' where it does not. Rejects with `service_unavailable`. */
  admit(model: string): Promise<Permit> {
    const { admission, waitingMax, waitMsMax } = this.#options;
    const nowMs = performance.now();
    const permit = this.#waiting.length === 0 ? admission.tryAdmit(model, nowMs) : undefined;
    if (permit !== undefined) return Promise.resolve(permit);
    if (this.#waiting.length >= waitingMax) return Promise.reject(refused());
    if (this.#timer === undefined) this.#timer = setTimeout(this.#look, lookMs);
    return new Promise((resolve, reject) => {
      this.#waiting.push({ model, dueMs: nowMs + waitMsMax, resolve, reject });
    });
  }

  readonly #look = (): void => {
    const nowMs = performance.now();
    let count = 0;
    for (const { model, dueMs, resolve, reject } of this.#waiting) {
      const permit = this.#options.admission.tryAdmit(model, nowMs);
      if (permit !== undefined) resolve(permit);
      else if (dueMs < nowMs) reject(refused());
      else break;
      count += 1;
    }
    this.#waiting.splice(0, count);
    this.#timer = this.#waiting.length === 0 ? undefined : setTimeout(this.#look, lookMs);
  };
}

function refused(): MillraceError {
  channels.drop.publish({ reason: 'rejected', stage: 'admission', requests: 1 } satisfies DropEvent);
  return new MillraceError('service_unavailable', 'Too many uploads are in progress', { retryAfterS: 5 });
}
