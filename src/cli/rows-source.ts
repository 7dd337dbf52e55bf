import { accessSync, constants, createReadStream, statSync } from 'node:fs';
import type { Stats } from 'node:fs';
import { Readable } from 'node:stream';
import { UsageError } from './failures.ts';
import type { StreamedBody } from './http-call.ts';

export const rowFormats = ['ndjson', 'csv', 'json'] as const;
export type RowFormat = (typeof rowFormats)[number];

export const mediaTypes: Readonly<Record<RowFormat, string>> = {
  ndjson: 'application/x-ndjson',
  csv: 'text/csv',
  json: 'application/json',
};

/** `rows.csv.gz` goes as it is: the API expands it. */
export function isGzipName(name: string): boolean {
  return /\.gz$/i.test(name);
}

/** By the end of its name, without a `.gz`; undefined where that says nothing. */
export function formatOfName(path: string): RowFormat | undefined {
  const name = path.replace(/\.gz$/i, '');
  if (/\.(ndjson|jsonl)$/i.test(name)) return 'ndjson';
  if (/\.csv$/i.test(name)) return 'csv';
  return /\.json$/i.test(name) ? 'json' : undefined;
}

/** Rows to upload, from a file, which can be read again for another attempt, or from a pipe, which cannot. */
export interface RowsSource {
  readonly sizeBytes: number | null;
  open(): Readable;
  repeatable(): boolean;
}

/** Throws UsageError when there is no such file. */
export function openRows(operand: string, stdin: NodeJS.ReadableStream): RowsSource {
  const file = operand === '-' ? null : inspect(operand);
  // Of what a file system makes as it is read, as below /proc, it does not know the size.
  const sizeBytes = file?.isFile() === true && file.size > 0 ? file.size : null;
  let isOpened = false;
  return {
    sizeBytes,
    repeatable: () => file?.isFile() === true || !isOpened,
    open() {
      isOpened = true;
      if (file === null) return stdin as Readable;
      // What is appended from now on would break the length that was announced.
      return createReadStream(operand, sizeBytes === null ? {} : { end: sizeBytes - 1 });
    },
  };
}

function inspect(path: string): Stats {
  try {
    accessSync(path, constants.R_OK);
    const found = statSync(path);
    if (!found.isDirectory()) return found;
  } catch (error) {
    throw new UsageError(`${path} cannot be read (${(error as NodeJS.ErrnoException).code ?? 'unknown'})`);
  }
  throw new UsageError(`${path} is a folder: expected a file, or - for stdin`);
}

/** Whether both names lead to one file; false where one of them leads nowhere. */
export function isSameFile(path: string, other: string): boolean {
  const [one, two] = [path, other].map((name) => statSync(name, { throwIfNoEntry: false }));
  return one !== undefined && two !== undefined && one.dev === two.dev && one.ino === two.ino;
}

/** The source as the body of a call. */
export function toBody(source: RowsSource, onSent: (byteCount: number) => void): StreamedBody {
  return { sizeBytes: source.sizeBytes, open: () => source.open(), onSent };
}

/**
 * A JSON document as the body of a call: one that is the array of instances is put behind `rest`, because the API wants
 * parameters before a long array; any other is taken for the whole body, and goes as it is. The stream of such a body
 * throws UsageError when there is a `rest`: it would have to be written into the middle of the document.
 */
export function toJsonBody(
  source: RowsSource,
  rest: Readonly<Record<string, unknown>>,
  onSent: (byteCount: number) => void,
): StreamedBody {
  return {
    sizeBytes: null,
    open: () => Readable.from(wrap(source.open(), rest), { objectMode: false }),
    onSent,
  };
}

async function* wrap(pieces: Readable, rest: Readonly<Record<string, unknown>>): AsyncGenerator<Buffer> {
  const members = JSON.stringify(rest).slice(0, -1);
  let isArray: boolean | undefined;
  for await (const piece of pieces as AsyncIterable<Buffer>) {
    const first = isArray === undefined ? piece.find((byte) => !jsonSpaces.has(byte)) : undefined;
    if (first !== undefined) {
      isArray = first === openingBracket;
      if (isArray) yield Buffer.from(`${members}${members === '{' ? '' : ','}"inputs":`);
      else if (members !== '{')
        throw new UsageError(
          `The JSON is a whole request: ${Object.keys(rest).join(' and ')} must be in it rather than in options`,
        );
    }
    yield piece;
  }
  if (isArray === true) yield Buffer.from('}');
}

const openingBracket = 0x5b;
const jsonSpaces: ReadonlySet<number> = new Set([0x20, 0x09, 0x0a, 0x0d]);
