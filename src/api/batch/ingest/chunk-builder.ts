import { toErrorRecord, toMillraceError } from '../../../errors.ts';
import type { MillraceError } from '../../../errors.ts';
import { RowsPacker } from '../../../processing/rows-packer.ts';
import type { InputFacts } from '../../../processing/request-inputs.ts';
import type { ChunkInput, LineNumbers, RowFailure } from '../../../queues/batch/chunk.ts';
import type { Row } from './row.ts';

export interface ChunkLimits {
  /** Asked for each chunk: how long a run takes may become known while an upload arrives. */
  readonly rowsMax: () => number;
  /** Of packed inputs, ids and refusals together. One row may pass it. */
  readonly bytesMax: number;
}

/** What a refused row holds beside its message. */
const refusalBytes = 200;

/** Where instances stand while nobody asks; the exact place is made for the few that are refused. */
const somewhere = 'inputs';

/** Packs rows into chunks. Each chunk is given out by the `add` that follows its last row, or by `take`. */
export class ChunkBuilder {
  readonly #packer: RowsPacker;
  readonly #limits: ChunkLimits;
  #firstRow = 0;
  #rowsMax: number;
  #rowCount = 0;
  #extraBytes = 0;
  #ids: (string | null)[] | null = null;
  #firstLine: number | null = null;
  /** Once a line was passed over, all of them. */
  #lines: number[] | null = null;
  #refusals: RowFailure[] = [];

  constructor(version: InputFacts, limits: ChunkLimits) {
    this.#packer = new RowsPacker(version);
    this.#limits = limits;
    this.#rowsMax = limits.rowsMax();
  }

  /** Of the chunk that is being made. */
  get rowCount(): number {
    return this.#rowCount;
  }

  /** Of the chunk that is being made. */
  get bytes(): number {
    return this.#packer.bytes + this.#extraBytes;
  }

  /** Of the whole upload so far. */
  get rowsTotal(): number {
    return this.#firstRow + this.#rowCount;
  }

  /**
   * Takes the row; gives back the chunk before it when that is full, or its rows are of another shape. Its tensors are
   * in the memory of this builder: they must be encoded before the next call.
   */
  add(row: Row): ChunkInput | null {
    let done = this.#rowCount >= this.#rowsMax || this.bytes >= this.#limits.bytesMax ? this.take() : null;
    const error = row.error ?? this.#pack(row);
    if (error === 'other shape') {
      done = this.take();
      this.#packer.add(row.instance, somewhere);
    } else if (error !== null) this.#refuse(error);
    this.#note(row);
    this.#rowCount += 1;
    return done;
  }

  /** The rows so far as a chunk; null without rows. */
  take(): ChunkInput | null {
    if (this.#rowCount === 0) return null;
    const chunk: ChunkInput = {
      firstRow: this.#firstRow,
      rowCount: this.#rowCount,
      ids: this.#ids,
      lines: this.#lineNumbers(),
      refusals: this.#refusals,
      tensors: this.#packer.take(),
    };
    this.#firstRow += this.#rowCount;
    this.#rowCount = 0;
    this.#extraBytes = 0;
    this.#ids = null;
    this.#lines = null;
    this.#firstLine = null;
    this.#refusals = [];
    this.#rowsMax = this.#limits.rowsMax();
    return chunk;
  }

  /** Null when the row is packed. */
  #pack({ instance, line }: Row): MillraceError | 'other shape' | null {
    try {
      return this.#packer.add(instance, somewhere) ? null : 'other shape';
    } catch {
      return this.#exactError(instance, line);
    }
  }

  /** Once more, for a message that names the place in the upload. */
  #exactError(instance: unknown, line: number | null): MillraceError {
    const path = line === null ? `inputs[${this.rowsTotal}]` : `line ${line}, inputs`;
    try {
      this.#packer.add(instance, path);
    } catch (error) {
      return toMillraceError(error);
    }
    throw new RangeError('a row was refused and then was not: this is a bug');
  }

  #refuse(error: MillraceError): void {
    const record = toErrorRecord(error);
    this.#refusals.push({ row: this.#rowCount, error: record, retryable: false });
    this.#extraBytes += refusalBytes + 2 * record.message.length;
  }

  #note({ id, line }: Row): void {
    if (id !== null) {
      this.#ids ??= Array.from({ length: this.#rowCount }, () => null);
      this.#extraBytes += id.length;
    }
    this.#ids?.push(id);
    if (line === null) return;
    const first = (this.#firstLine ??= line);
    if (this.#lines === null && line !== first + this.#rowCount)
      this.#lines = Array.from({ length: this.#rowCount }, (_, row) => first + row);
    this.#lines?.push(line);
  }

  #lineNumbers(): LineNumbers | null {
    if (this.#lines !== null) return { each: this.#lines };
    return this.#firstLine === null ? null : { first: this.#firstLine };
  }
}
