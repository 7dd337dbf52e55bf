import type { MillraceError } from '../../../errors.ts';

/** One row as it was uploaded: an instance, or the reason why there is none. */
export interface Row {
  /** The caller's own. */
  readonly id: string | null;
  /** On which it begins, from 1; null where the body has no lines. */
  readonly line: number | null;
  readonly instance: unknown;
  /** What refuses it; then there is no instance. */
  readonly error: MillraceError | null;
}

/**
 * Rows of an upload in their order, in blocks as the bytes come; within a block they are made one by one as they are
 * asked for, so that none is held. Whatever damages more than one row is thrown.
 */
export interface RowSource {
  /** Bytes of rows that have not come whole. */
  readonly heldBytes: number;
  blocks(): AsyncIterable<Iterable<Row>>;
}
