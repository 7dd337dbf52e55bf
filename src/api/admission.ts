import { channels } from '../channels.ts';
import type { DropEvent } from '../channels.ts';
import { MillraceError } from '../errors.ts';
import type { Saturation } from './saturation.ts';

/** The right to have one request at work. Given back exactly once; a second time is a slip of ours. */
export interface Permit {
  release(): void;
}

/**
 * Bounds how many requests are at work: beyond it, refusing at once is kinder than everybody's timeout. A process that
 * has no time left bounds them more tightly. It refuses before the body is read, since what refusing costs is then
 * what limits how many are served.
 */
export class Admission {
  readonly #inFlightMax: number;
  readonly #saturation: Pick<Saturation, 'limit' | 'answered'>;
  /** By model, as the path names it; never a zero. */
  readonly #byModel = new Map<string, number>();
  #inFlight = 0;

  constructor(inFlightMax: number, saturation: Pick<Saturation, 'limit' | 'answered'>) {
    this.#inFlightMax = inFlightMax;
    this.#saturation = saturation;
  }

  get inFlight(): number {
    return this.#inFlight;
  }

  get inFlightMax(): number {
    return this.#inFlightMax;
  }

  /**
   * `model` as the path names it, '' where it does not; `nowMs` by performance.now(). Throws `service_unavailable`
   * when every permit is out, or, in a saturated process, when the model has had its share of them.
   */
  admit(model: string, nowMs: number): Permit {
    const permit = this.#permitFor(model, nowMs);
    if (permit === 'admission') refuse(permit, noPermit);
    if (permit === 'saturation') refuse(permit, tooBusy);
    return permit;
  }

  /** For whoever can wait: undefined when there is none. */
  tryAdmit(model: string, nowMs: number): Permit | undefined {
    const permit = this.#permitFor(model, nowMs);
    return typeof permit === 'string' ? undefined : permit;
  }

  /** Or what there is too much of. */
  #permitFor(model: string, nowMs: number): Permit | 'admission' | 'saturation' {
    if (this.#inFlight >= this.#inFlightMax) return 'admission';
    const limit = this.#saturation.limit(nowMs);
    const ofModel = this.#byModel.get(model) ?? 0;
    if (this.#inFlight >= limit && ofModel * this.#byModel.size >= limit) return 'saturation';
    this.#byModel.set(model, ofModel + 1);
    this.#inFlight += 1;
    let held = true;
    return {
      release: () => {
        if (!held) throw new RangeError('a permit was given back twice: this is a bug');
        held = false;
        this.#inFlight -= 1;
        this.#giveBack(model);
        this.#saturation.answered();
      },
    };
  }

  #giveBack(model: string): void {
    const left = (this.#byModel.get(model) ?? 0) - 1;
    if (left > 0) this.#byModel.set(model, left);
    else this.#byModel.delete(model);
  }
}

/** Made once: the stack of an error costs as much as all the rest of a refusal, and says nothing here. */
const noPermit = new MillraceError('service_unavailable', 'Too many requests are in progress', {
  retryAfterS: 1,
});
const tooBusy = new MillraceError('service_unavailable', 'The server is too busy', { retryAfterS: 1 });

function refuse(stage: 'admission' | 'saturation', error: MillraceError): never {
  channels.drop.publish({ reason: 'rejected', stage, requests: 1 } satisfies DropEvent);
  throw error;
}
