import { MillraceError } from '../errors.ts';

/** The right to have one request at work. Given back exactly once; a second time is a slip of ours. */
export interface Permit {
  release(): void;
}

/** Bounds how many requests are at work: beyond it, refusing at once is kinder than everybody's timeout. */
export class Admission {
  readonly #inFlightMax: number;
  #inFlight = 0;

  constructor(inFlightMax: number) {
    this.#inFlightMax = inFlightMax;
  }

  get inFlight(): number {
    return this.#inFlight;
  }

  /** Throws `service_unavailable` when every permit is out. */
  admit(): Permit {
    if (this.#inFlight >= this.#inFlightMax)
      throw new MillraceError('service_unavailable', 'Too many requests are in progress', { retryAfterS: 1 });
    this.#inFlight += 1;
    let held = true;
    return {
      release: () => {
        if (!held) throw new RangeError('a permit was given back twice: this is a bug');
        held = false;
        this.#inFlight -= 1;
      },
    };
  }
}
