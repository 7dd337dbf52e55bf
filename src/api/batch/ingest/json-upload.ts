import { MillraceError } from '../../../errors.ts';
import type { InputFacts } from '../../../processing/request-inputs.ts';
import { describe } from '../../../tensors/refusal.ts';
import { checkBatchParameters } from '../batch-parameters.ts';
import type { BatchHead, BatchParameters } from '../batch-parameters.ts';
import { HeldBlocks } from './held-blocks.ts';
import { compileJsonRows } from './json-rows.ts';
import { JsonScanner } from './json-scanner.ts';
import type { ElementBlock } from './json-scanner.ts';
import type { Row, RowSource } from './row.ts';
import type { Upload } from './upload.ts';

export interface JsonUploadOptions {
  /** Whether the path names the model. */
  readonly isModelKnown: boolean;
  /** Bytes that are read before the rows are begun with: a body of no more is known whole by then. */
  readonly heldBytesMax: number;
  /** Of one instance. */
  readonly elementBytesMax: number;
}

/** `parameters` and `webhook`: some hundred bytes, unless there are many outputs. */
const memberBytesMax = 65_536;

/**
 * `{ "inputs": [instance, …], "parameters": {…}, "webhook": "https://…" }`, members in any order. Since `parameters` may
 * come last, and tell the model, up to `heldBytesMax` is held; of a longer body they must have come by then.
 */
export class JsonUpload implements Upload, RowSource {
  readonly #pieces: AsyncIterator<Buffer>;
  readonly #options: JsonUploadOptions;
  readonly #scanner: JsonScanner;
  readonly #held = new HeldBlocks();
  #parameters: BatchParameters | undefined;
  #webhook: string | null = null;
  #isHeadOver = false;
  #isWhole = false;
  #rowsOf: ((block: ElementBlock) => Iterable<Row>) | undefined;

  constructor(bytes: AsyncIterable<Buffer>, options: JsonUploadOptions) {
    this.#pieces = bytes[Symbol.asyncIterator]();
    this.#options = options;
    const { elementBytesMax } = options;
    const onMember = this.#take;
    this.#scanner = new JsonScanner({ array: 'inputs', elementBytesMax, memberBytesMax, onMember });
  }

  get isWhole(): boolean {
    return this.#isWhole;
  }

  get heldBytes(): number {
    return this.#held.bytes + this.#scanner.heldBytes;
  }

  async head(onHeld: (bytes: number) => void): Promise<BatchHead> {
    const { heldBytesMax, isModelKnown } = this.#options;
    // Until inputs begin there is nothing to hold: what comes before them is never too late.
    for (let bytes = 0; !this.#isWhole && (bytes <= heldBytesMax || !this.#scanner.has('inputs')); ) {
      // One piece after the other: they are a stream.
      // oxlint-disable-next-line no-await-in-loop
      const piece = await this.#next();
      bytes += piece.byteLength;
      this.#held.add(this.#scanner.push(piece));
      onHeld(this.heldBytes);
    }
    this.#isHeadOver = true;
    if (!this.#isWhole && !isModelKnown && this.#parameters === undefined) throw headTooLate(heldBytesMax);
    return { parameters: this.#parameters ?? {}, webhook: this.#webhook };
  }

  rows(version: InputFacts): RowSource {
    this.#rowsOf = compileJsonRows(version);
    return this;
  }

  async *blocks(): AsyncGenerator<Iterable<Row>> {
    const rowsOf = this.#rowsOf as (block: ElementBlock) => Iterable<Row>;
    for (const block of this.#held.take()) yield rowsOf(block);
    while (!this.#isWhole) {
      // oxlint-disable-next-line no-await-in-loop
      const piece = await this.#next();
      yield rowsOf(this.#scanner.push(piece));
    }
  }

  /** The next piece; an empty one at the end, which is then known to be right. */
  async #next(): Promise<Buffer> {
    const { done, value } = await this.#pieces.next();
    if (done !== true) return value;
    this.#scanner.end();
    if (!this.#scanner.has('inputs')) throw noInputs('nothing');
    if (this.#scanner.elementCount === 0) throw noInputs('an empty array');
    this.#isWhole = true;
    return nothing;
  }

  readonly #take = (name: string, value: unknown): void => {
    if (name === 'inputs') throw noInputs(describe(value));
    if (name === 'source') throw noSource();
    if (name !== 'parameters' && name !== 'webhook') throw unknownMember(name);
    if (this.#isHeadOver) throw memberTooLate(name, this.#options.heldBytesMax);
    if (name === 'parameters') this.#parameters = checkBatchParameters(value);
    else this.#webhook = checkText(value);
  };
}

const nothing = Buffer.alloc(0);

function checkText(value: unknown): string {
  if (typeof value === 'string') return value;
  throw refused('webhook', 'a URL', describe(value));
}

function noInputs(found: string): MillraceError {
  return refused('inputs', 'an array of at least one instance', found);
}

/** Here rows will come from elsewhere once there is storage to read from: a byte stream like any other upload. */
function noSource(): MillraceError {
  return refused('source', 'inputs in the body: this installation has no source configured', 'a source');
}

function unknownMember(name: string): MillraceError {
  return refused(name.slice(0, 80), 'inputs, parameters or webhook, nothing else', 'an unknown name');
}

function memberTooLate(name: string, bytesMax: number): MillraceError {
  return refused(name, `to stand before inputs in a body of more than ${bytesMax} bytes`, 'it behind them');
}

function refused(path: string, expected: string, found: string): MillraceError {
  return new MillraceError('invalid_input', 'The request is not valid', {
    details: [{ path, expected, found }],
  });
}

function headTooLate(bytesMax: number): MillraceError {
  return new MillraceError('payload_too_large', 'The body is too long to be held until its model is known', {
    details: [
      {
        path: 'parameters',
        expected: `within the first ${bytesMax} bytes: put parameters first, or name the model in the path`,
        found: 'nothing so far',
      },
    ],
  });
}
