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

/** Gets a chunk whose tensors are in memory that is used again: it must encode or copy them before it returns. */
export type ChunkSink = (chunk: ChunkInput) => void;

/** Packs rows into chunks. Each is given out when a row comes that is not of it, or by `flush`. */
export class ChunkBuilder {
  readonly #packer: RowsPacker;
  readonly #limits: ChunkLimits;
  readonly #sink: ChunkSink;
  #firstRow = 0;
  #rowsMax: number;
  #rowCount = 0;
  #extraBytes = 0;
  #ids: (string | null)[] | null = null;
  #firstLine: number | null = null;
  /** Once a line was passed over, all of them. */
  #lines: number[] | null = null;
  #refusals: RowFailure[] = [];

  constructor(version: InputFacts, limits: ChunkLimits, sink: ChunkSink) {
    this.#packer = new RowsPacker(version);
    this.#limits = limits;
    this.#sink = sink;
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

  /** Throws what the sink throws. */
  add(row: Row): void {
    if (this.#rowCount >= this.#rowsMax || this.bytes >= this.#limits.bytesMax) this.flush();
    const error = row.error ?? this.#pack(row);
    if (error === 'other shape') {
      this.flush();
      this.#packer.add(row.instance, somewhere);
    } else if (error !== null) this.#refuse(error);
    this.#note(row);
    this.#rowCount += 1;
  }

  /** Gives out the rows so far, if there are any. Throws what the sink throws. */
  flush(): void {
    if (this.#rowCount === 0) return;
    this.#sink({
      firstRow: this.#firstRow,
      rowCount: this.#rowCount,
      ids: this.#ids,
      lines: this.#lineNumbers(),
      refusals: this.#refusals,
      tensors: this.#packer.take(),
    });
    this.#firstRow += this.#rowCount;
    this.#rowCount = 0;
    this.#extraBytes = 0;
    this.#ids = null;
    this.#lines = null;
    this.#firstLine = null;
    this.#refusals = [];
    this.#rowsMax = this.#limits.rowsMax();
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
