import { MillraceError } from '../../errors.ts';
import type { Exchange } from './exchange.ts';
import { Refusal } from './refusal.ts';

export interface UploadLimits {
  /** A pause of the client of more than this ends the upload. */
  readonly idleMs: number;
  /** Least bytes a second, over each `idleMs` that the client was waited for. */
  readonly bytesPerSMin: number;
}

/**
 * The body of a request piece by piece, no faster than it is asked for. What is counted against the client is the time
 * in which it is waited for: an upload may take as long as the batch behind it, but not be a way to hold a slot for
 * ever. Ends with the exchange.
 */
export class UploadBody implements AsyncIterable<Buffer> {
  readonly #exchange: Exchange;
  readonly #limits: UploadLimits;
  readonly #pieces: Buffer[] = [];
  #ended = false;
  #failure: MillraceError | undefined;
  #wake: (() => void) | undefined;
  #waitedMs = 0;
  #bytes = 0;

  constructor(exchange: Exchange, limits: UploadLimits) {
    this.#exchange = exchange;
    this.#limits = limits;
    // The server's limit for whole requests is none for this one.
    exchange.hasOwnTimeLimit = true;
  }

  /** Throws `request_timeout` for a client that is too slow, `invalid_input` when the body is cut short. */
  async *[Symbol.asyncIterator](): AsyncGenerator<Buffer> {
    const { request } = this.#exchange;
    this.#exchange.onOver = () => this.#end(cutShort());
    if (!this.#exchange.open) this.#failure = cutShort();
    request.on('data', this.#onData).once('end', this.#onEnd);
    try {
      for (;;) {
        const piece = this.#pieces.shift();
        if (this.#failure !== undefined) throw this.#failure;
        if (piece !== undefined) yield piece;
        else if (this.#ended) return;
        // oxlint-disable-next-line no-await-in-loop
        else await this.#more();
      }
    } finally {
      this.#end(cutShort());
    }
  }

  /** What it would bring next is this error. */
  stop(error: MillraceError): void {
    this.#failure ??= error;
    this.#wake?.();
  }

  readonly #onData = (piece: Buffer): void => {
    this.#bytes += piece.byteLength;
    this.#pieces.push(piece);
    this.#exchange.request.pause();
    this.#wake?.();
  };

  readonly #onEnd = (): void => {
    this.#ended = true;
    this.#wake?.();
  };

  #end(failure: MillraceError): void {
    if (!this.#ended) this.#failure ??= failure;
    const { request } = this.#exchange;
    // What still comes is thrown away until the answer has been written: a paused request would hold up the connection.
    request.off('data', this.#onData).off('end', this.#onEnd).resume();
    this.#wake?.();
  }

  /** Until there is something to tell. */
  #more(): Promise<void> {
    const { idleMs } = this.#limits;
    const fromMs = performance.now();
    return new Promise((resolve) => {
      const timer = setTimeout(() => {
        this.#failure ??= tooSlow(`something within ${idleMs} ms`);
        wake();
      }, idleMs);
      const wake = (): void => {
        clearTimeout(timer);
        this.#wake = undefined;
        this.#count(performance.now() - fromMs);
        resolve();
      };
      this.#wake = wake;
      this.#exchange.request.resume();
    });
  }

  /** Looks once the client has been waited for long enough to tell. */
  #count(waitedMs: number): void {
    const { idleMs, bytesPerSMin } = this.#limits;
    this.#waitedMs += waitedMs;
    if (this.#waitedMs < idleMs) return;
    const enough = (bytesPerSMin * this.#waitedMs) / 1000;
    if (this.#bytes < enough && !this.#ended) this.#failure ??= tooSlow(`${bytesPerSMin} bytes a second`);
    this.#waitedMs = 0;
    this.#bytes = 0;
  }
}

function cutShort(): MillraceError {
  return new MillraceError('invalid_input', 'The body was cut short', {
    details: [{ path: '(root)', expected: 'the whole body', found: 'a part of it' }],
  });
}

function tooSlow(expected: string): Refusal {
  return new Refusal('request_timeout', 'The upload is too slow', {
    details: [{ path: '(root)', expected, found: 'less' }],
    closes: true,
  });
}
