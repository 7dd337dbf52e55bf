import { MillraceError } from '../../errors.ts';
import type { BatchRecord } from '../../queues/batch/batch.ts';
import type { DeadLetter, DeadLetters } from '../../queues/batch/batch-ledger.ts';
import { joinRows } from '../../tensors/batch.ts';
import { decodeTensors } from '../../tensors/binary-codec.ts';
import { sameRowShape } from '../../tensors/shape.ts';
import type { NamedTensors } from '../../tensors/tensor.ts';
import type { PackedBatches, PackedRows } from './packed-batches.ts';

export interface DeadLetterReplayOptions {
  readonly letters: Pick<DeadLetters, 'list' | 'take' | 'remove'>;
  readonly packed: PackedBatches;
  /** Of the new batches. */
  readonly retentionMs: number;
}

/** Which letters: all that there are, or those of a model or of a batch. */
export interface LetterChoice {
  readonly model: string | null;
  readonly batchId: string | null;
}

type Letter = NonNullable<Awaited<ReturnType<DeadLetters['take']>>>;

/** Letters of one batch: one of them for what they have in common, and where to find all. */
interface LettersOfBatch {
  readonly first: DeadLetter;
  readonly each: Pick<DeadLetter, 'id' | 'row'>[];
}

/** Letters of a page, and rows of a chunk; taken side by side. */
const lettersAtOnce = 100;

/**
 * Dead letters as batches again: one for each batch that they come from, of its owner and with the same version. The
 * letters are removed once that batch is durable: what fails before leaves them where they are, and of two replays at
 * the same time both may run a row.
 */
export class DeadLetterReplay {
  readonly #options: DeadLetterReplayOptions;

  constructor(options: DeadLetterReplayOptions) {
    this.#options = options;
  }

  /** `newId` is that of the new batch. Throws `not_found` where there is no such letter. */
  async one(id: string, newId?: string): Promise<BatchRecord> {
    const first = await this.#options.letters.take(id);
    const batch = first === undefined ? undefined : await this.#replay({ first, each: [first] }, newId);
    if (batch === undefined) throw new MillraceError('not_found', 'There is no such dead letter');
    return batch;
  }

  /** The new batches; none where no letter was chosen. */
  async all(choice: LetterChoice): Promise<readonly BatchRecord[]> {
    const batches: BatchRecord[] = [];
    for (const letters of (await this.#chosen(choice)).values()) {
      // One after the other: each is as large as the batch that it comes from.
      // oxlint-disable-next-line no-await-in-loop
      const batch = await this.#replay(letters);
      if (batch !== undefined) batches.push(batch);
    }
    return batches;
  }

  async #chosen({ model, batchId }: LetterChoice): Promise<ReadonlyMap<string, LettersOfBatch>> {
    const chosen = new Map<string, LettersOfBatch>();
    for (let after: string | null | undefined; after !== null; ) {
      // oxlint-disable-next-line no-await-in-loop
      const page = await this.#options.letters.list(after ?? null, lettersAtOnce);
      for (const letter of page.letters) {
        if (model !== null && letter.model !== model) continue;
        if (batchId !== null && letter.batchId !== batchId) continue;
        const known = chosen.get(letter.batchId);
        const { id, row } = letter;
        if (known === undefined) chosen.set(letter.batchId, { first: letter, each: [{ id, row }] });
        else known.each.push({ id, row });
      }
      after = page.next;
    }
    return chosen;
  }

  /** Undefined when the letters have gone meanwhile. */
  async #replay({ first, each }: LettersOfBatch, newId?: string): Promise<BatchRecord | undefined> {
    const { letters, packed, retentionMs } = this.#options;
    const ids = each.toSorted((a, b) => a.row - b.row).map(({ id }) => id);
    const { owner, model, version, servedDigest, pool, render, batchId } = first;
    const like = {
      owner,
      model,
      version,
      servedDigest,
      pool,
      render,
      webhook: null,
      retryOf: batchId,
      retentionMs,
    };
    const batch = await packed.submit(like, this.#rows(ids), { id: newId });
    if (batch !== undefined) await letters.remove(ids);
    return batch;
  }

  async *#rows(ids: readonly string[]): AsyncGenerator<PackedRows> {
    const { letters } = this.#options;
    for (let from = 0; from < ids.length; from += lettersAtOnce) {
      const some = ids.slice(from, from + lettersAtOnce);
      // oxlint-disable-next-line no-await-in-loop
      const taken = await Promise.all(some.map((id) => letters.take(id)));
      yield* packedRows(taken.filter((letter) => letter !== undefined));
    }
  }
}

/** Rows that follow each other and are of one shape stand in one chunk. */
function packedRows(letters: readonly Letter[]): readonly PackedRows[] {
  const groups: { letters: Letter[]; tensors: NamedTensors[] }[] = [];
  for (const letter of letters) {
    const tensors = decodeTensors(letter.input);
    const last = groups.at(-1);
    if (last !== undefined && joinable(last.tensors[0] as NamedTensors, tensors)) {
      last.letters.push(letter);
      last.tensors.push(tensors);
    } else groups.push({ letters: [letter], tensors: [tensors] });
  }
  return groups.map(({ letters: rows, tensors }) => {
    const lines = rows.map(({ line }) => line);
    return {
      ids: rows.map(({ rowId, row }) => rowId ?? String(row)),
      lines: lines.includes(null) ? null : { each: lines as number[] },
      tensors: joinRows(tensors),
    };
  });
}

function joinable(tensors: NamedTensors, others: NamedTensors): boolean {
  return [...tensors].every(([name, tensor]) => {
    const other = others.get(name);
    return other !== undefined && sameRowShape(tensor.shape, other.shape);
  });
}
