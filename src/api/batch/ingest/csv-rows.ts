import { parse } from 'csv-parse';
import type { CsvError, InfoRecord, Parser } from 'csv-parse';
import { finished } from 'node:stream/promises';
import { MillraceError } from '../../../errors.ts';
import type { InputFacts } from '../../../processing/request-inputs.ts';
import { refusal } from '../../../tensors/refusal.ts';
import { compileColumns } from './csv-columns.ts';
import type { CsvColumns } from './csv-columns.ts';
import { rowIdCharsMax } from './envelope.ts';
import type { Row, RowSource } from './row.ts';

/** Parsed at a stretch: some 500 records of five cells, a millisecond. */
const sliceBytes = 16_384;

/**
 * Rows of a CSV body (RFC 4180, in UTF-8) under its header row. Lines may end with LF, CRLF or CR; empty ones are passed
 * over; a quote within an unquoted cell is a character like any other. A record with too many or too few cells, and one
 * whose quotes do not end, is a row that is refused.
 */
export class CsvRows implements RowSource {
  readonly #bytes: AsyncIterable<Buffer>;
  readonly #version: InputFacts;
  readonly #recordBytesMax: number;
  #columns: CsvColumns | undefined;
  /** What csv-parse has found in the bytes at work. */
  #found: Row[] = [];
  #failure: MillraceError | undefined;
  /** Lines that the parser has counted too many. */
  #miscounted = 0;

  constructor(bytes: AsyncIterable<Buffer>, version: InputFacts, recordBytesMax: number) {
    this.#bytes = bytes;
    this.#version = version;
    this.#recordBytesMax = recordBytesMax;
  }

  /** A record that has not come whole is in the parser, which does not tell. */
  readonly heldBytes = 0;

  async *blocks(): AsyncGenerator<Iterable<Row>> {
    const parser = this.#parser();
    try {
      for await (const bytes of utf8Only(this.#bytes))
        for (let at = 0; at < bytes.byteLength; at += sliceBytes) {
          // It works while it is written to, and nothing of it waits to be read: all records come by #take.
          parser.write(bytes.subarray(at, at + sliceBytes));
          yield this.#rows();
        }
      parser.end();
      await finished(parser);
      yield this.#rows();
      if (this.#columns === undefined) throw noHeader();
    } finally {
      parser.destroy();
    }
  }

  #parser(): Parser {
    const parser = parse({
      bom: true,
      record_delimiter: ['\r\n', '\n', '\r'],
      relax_column_count: true,
      relax_quotes: true,
      skip_empty_lines: true,
      skip_records_with_error: true,
      max_record_size: this.#recordBytesMax,
      on_record: (record: string[], context: InfoRecord) => {
        this.#take(record, context.lines);
        return null;
      },
      on_skip: (error: CsvError | undefined) => this.#skip(error),
    });
    parser.on('error', (error) => (this.#failure ??= unreadable(error)));
    return parser.resume();
  }

  #rows(): Iterable<Row> {
    if (this.#failure !== undefined) throw this.#failure;
    const found = this.#found;
    this.#found = [];
    return found;
  }

  /** `endLine`: where the parser takes the record to end. */
  #take(cells: readonly string[], endLine: number): void {
    if (this.#failure !== undefined) return;
    const { counted, actual } = lineBreaks(cells);
    const line = endLine - this.#miscounted - counted;
    this.#miscounted += counted - actual;
    if (this.#columns === undefined) this.#header(cells);
    else this.#found.push(toRow(this.#columns, cells, line));
  }

  #header(cells: readonly string[]): void {
    try {
      this.#columns = compileColumns(this.#version, cells);
    } catch (error) {
      this.#failure = MillraceError.is(error) ? error : unreadable(error);
    }
  }

  #skip(error: CsvError | undefined): undefined {
    const line = Number(error?.['lines'] ?? 0) - this.#miscounted;
    if (error?.code === 'CSV_MAX_RECORD_SIZE') this.#failure ??= tooLong(line, this.#recordBytesMax);
    else this.#found.push(refused(line, refusal(`line ${line}`, 'a quote that ends', 'the end of the body')));
    return undefined;
  }
}

/** csv-parse would take UTF-16 for what it is by its byte order mark. No text in UTF-8 begins with a byte of one. */
async function* utf8Only(bytes: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  let isFirst = true;
  for await (const piece of bytes) {
    if (isFirst && (piece[0] === 0xff || piece[0] === 0xfe)) throw notUtf8();
    isFirst &&= piece.byteLength === 0;
    yield piece;
  }
}

function toRow(
  { idColumn, columnCount, toInstance }: CsvColumns,
  cells: readonly string[],
  line: number,
): Row {
  if (cells.length !== columnCount)
    return refused(
      line,
      refusal(`line ${line}`, `${columnCount} cells, as in the header row`, `${cells.length}`),
    );
  const id = idColumn < 0 ? '' : (cells[idColumn] as string);
  if (id.length > rowIdCharsMax)
    return refused(line, refusal(`line ${line}, id`, `at most ${rowIdCharsMax} characters`, `${id.length}`));
  return { id: id === '' ? null : id, line, instance: toInstance(cells), error: null };
}

function refused(line: number, error: MillraceError): Row {
  return { id: null, line, instance: undefined, error };
}

/** Line breaks within quotes: as the parser counts them, CR and LF apart, and as there are. */
function lineBreaks(cells: readonly string[]): { readonly counted: number; readonly actual: number } {
  let counted = 0;
  let actual = 0;
  for (const cell of cells) {
    if (!cell.includes('\n') && !cell.includes('\r')) continue;
    counted += cell.match(/[\r\n]/g)?.length ?? 0;
    actual += cell.match(/\r\n|[\r\n]/g)?.length ?? 0;
  }
  return { counted, actual };
}

function noHeader(): MillraceError {
  return new MillraceError('invalid_input', 'The body is empty', {
    details: [{ path: '(root)', expected: 'a header row and rows', found: 'nothing' }],
  });
}

function tooLong(line: number, bytesMax: number): MillraceError {
  return new MillraceError('payload_too_large', `The record at line ${line} is too long`, {
    details: [{ path: `line ${line}`, expected: `at most ${bytesMax} bytes`, found: 'more' }],
  });
}

function notUtf8(): MillraceError {
  return new MillraceError('invalid_input', 'The body is not in UTF-8', {
    details: [{ path: 'line 1', expected: 'CSV in UTF-8', found: 'a byte order mark of UTF-16' }],
  });
}

function unreadable(error: unknown): MillraceError {
  return new MillraceError('invalid_input', 'The body is not valid CSV', {
    details: [{ path: '(root)', expected: 'CSV (RFC 4180) in UTF-8', found: 'something else' }],
    cause: error,
  });
}
