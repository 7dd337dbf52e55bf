import type { InputFacts } from '../../../processing/request-inputs.ts';
import type { BatchHead } from '../batch-parameters.ts';
import type { RowSource } from './row.ts';

/** One upload, read in two steps: what it says of itself, then its rows. */
export interface Upload {
  /**
   * Throws for a head that is wrong, and for a body that ends, or is refused, before it is known. `onHeld` is told what
   * it holds meanwhile; may throw.
   */
  head(onHeld: (bytes: number) => void): Promise<BatchHead>;
  /** After `head`. */
  rows(version: InputFacts): RowSource;
  /** After `head`: whether the body has come to its end with it, so that it is taken or refused as a whole. */
  readonly isWhole: boolean;
}

/** A body of rows alone: what it is about stands elsewhere. */
export class StreamedUpload implements Upload {
  readonly isWhole = false;
  readonly #head: BatchHead;
  readonly rows: Upload['rows'];

  constructor(head: BatchHead, rows: Upload['rows']) {
    this.#head = head;
    this.rows = rows;
  }

  head(): Promise<BatchHead> {
    return Promise.resolve(this.#head);
  }
}
