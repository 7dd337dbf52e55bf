import { MillraceError } from '../../../errors.ts';
import { instanceParser } from '../../../processing/instance-parser.ts';
import type { InputFacts } from '../../../processing/request-inputs.ts';
import { compileEnvelope } from './envelope.ts';
import { LineSplitter } from './line-splitter.ts';
import type { Line } from './line-splitter.ts';
import type { Row, RowSource } from './row.ts';

/** Rows of a body of JSON lines: each an instance or an envelope. Blank lines are passed over, but counted. */
export class NdjsonRows implements RowSource {
  readonly #bytes: AsyncIterable<Buffer>;
  readonly #parse: (text: string) => unknown;
  readonly #open: (value: unknown, line: number | null) => Row;
  readonly #splitter: LineSplitter;

  constructor(bytes: AsyncIterable<Buffer>, version: InputFacts, lineBytesMax: number) {
    this.#bytes = bytes;
    this.#parse = instanceParser(version);
    this.#open = compileEnvelope(version);
    this.#splitter = new LineSplitter(lineBytesMax);
  }

  get heldBytes(): number {
    return this.#splitter.heldBytes;
  }

  async *blocks(): AsyncGenerator<Iterable<Row>> {
    for await (const bytes of this.#bytes) yield this.#rows(this.#splitter.push(bytes));
    yield this.#rows(this.#splitter.end());
  }

  *#rows(lines: Iterable<Line>): Generator<Row> {
    for (const { text, number } of lines) {
      if (text === null) yield refused(number, notUtf8(number));
      else if (!isBlank(text)) yield this.#row(text, number);
    }
  }

  #row(text: string, line: number): Row {
    let value: unknown;
    try {
      value = this.#parse(text);
    } catch (error) {
      return refused(line, notJson(line, error));
    }
    return this.#open(value, line);
  }
}

/** What JSON calls white space. The first character tells for nearly all lines. */
function isBlank(text: string): boolean {
  return text === '' || (text.charCodeAt(0) <= 0x20 && /^[ \t\r]*$/.test(text));
}

function refused(line: number, error: MillraceError): Row {
  return { id: null, line, instance: undefined, error };
}

function notUtf8(line: number): MillraceError {
  return new MillraceError('invalid_input', `Line ${line} is not valid UTF-8`, {
    details: [{ path: `line ${line}`, expected: 'JSON in UTF-8', found: 'bytes that are not UTF-8' }],
  });
}

function notJson(line: number, error: unknown): MillraceError {
  const details = MillraceError.is(error) ? error.details : undefined;
  const found = Array.isArray(details) ? (details[0] as { readonly found: string }).found : 'something else';
  return new MillraceError('invalid_input', `Line ${line} is not valid JSON`, {
    details: [{ path: `line ${line}`, expected: 'one JSON value (RFC 8259)', found }],
  });
}
