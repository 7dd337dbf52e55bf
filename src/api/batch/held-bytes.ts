import { channels } from '../../channels.ts';
import type { DropEvent } from '../../channels.ts';
import { MillraceError } from '../../errors.ts';

/** What one upload holds in memory. */
export interface HeldBytes {
  /** Throws `service_unavailable` when all uploads together would hold too much. */
  readonly set: (bytes: number) => void;
  readonly release: () => void;
}

/** Bounds what all uploads of this process hold at once: each could hold some MiB, and thousands may be open. */
export class UploadMemory {
  readonly #bytesMax: number;
  #bytes = 0;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  get bytes(): number {
    return this.#bytes;
  }

  hold(): HeldBytes {
    let held = 0;
    const set = (bytes: number): void => {
      this.#bytes += bytes - held;
      held = bytes;
    };
    return {
      set: (bytes) => {
        if (bytes > held && this.#bytes + bytes - held > this.#bytesMax) throw tooBusy();
        set(bytes);
      },
      release: () => set(0),
    };
  }
}

function tooBusy(): MillraceError {
  channels.drop.publish({ reason: 'rejected', stage: 'admission', requests: 1 } satisfies DropEvent);
  return new MillraceError('service_unavailable', 'Too many bytes of uploads are at work', {
    retryAfterS: 1,
  });
}
