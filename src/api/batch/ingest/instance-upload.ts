import { takesWideIntegers } from '../../../processing/instance-parser.ts';
import { compilePacker } from '../../../processing/pack-instance.ts';
import type { InputFacts } from '../../../processing/request-inputs.ts';
import { parseExactJson } from '../../../tensors/exact-json.ts';
import type { PredictRequest } from '../../predict-request.ts';
import type { BatchHead } from '../batch-parameters.ts';
import type { Row, RowSource } from './row.ts';
import type { Upload } from './upload.ts';

/** A predict whose answer is fetched later: a batch of one row, refused as the predict would be. */
export class InstanceUpload implements Upload {
  readonly isWhole = true;
  readonly #request: PredictRequest;
  readonly #text: string;

  /** `text` is the body behind the request, for integers that a double cannot hold. */
  constructor(request: PredictRequest, text: string) {
    this.#request = request;
    this.#text = text;
  }

  /** Nobody waits, so a deadline means nothing; nor is a batch answered from the cache. */
  head(): Promise<BatchHead> {
    const { timeout_ms: _deadline, cache: _cache, ...parameters } = this.#request.parameters;
    return Promise.resolve({ parameters, webhook: null });
  }

  rows(version: InputFacts): RowSource {
    const instance = takesWideIntegers(version)
      ? (parseExactJson(this.#text) as PredictRequest).inputs
      : this.#request.inputs;
    compilePacker(version)(instance, 'inputs');
    return new OneRow({ id: null, line: null, instance, error: null });
  }
}

class OneRow implements RowSource {
  readonly heldBytes = 0;
  readonly #row: Row;

  constructor(row: Row) {
    this.#row = row;
  }

  async *blocks(): AsyncGenerator<Iterable<Row>> {
    yield [this.#row];
  }
}
