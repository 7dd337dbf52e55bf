import { Agent, request } from 'node:http';
import type { IncomingHttpHeaders, IncomingMessage } from 'node:http';
import { text } from 'node:stream/consumers';
import type { ErrorPlace } from '../../src/errors.ts';
import type { JsonValue } from '../../src/tensors/json-unpacker.ts';

/** One answer, read to its end. */
export interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
  readonly body: AnswerBody;
}

/** The members of all bodies that tests look at; which are there depends on the answer. */
export interface AnswerBody {
  readonly predictions: readonly PredictionBody[];
  readonly model_name: string;
  readonly model_version: string;
  readonly processing_time_ms: number;
  readonly error: ErrorBody;
}

export interface PredictionBody {
  readonly id: string;
  readonly output: JsonValue | Readonly<Record<string, JsonValue>>;
  readonly probabilities?: readonly number[];
  readonly score?: number;
  readonly top_k?: readonly { readonly label: JsonValue; readonly score: number }[];
}

export interface ErrorBody {
  readonly code: string;
  readonly message: string;
  readonly details?: string | readonly ErrorPlace[];
  readonly request_id: string;
}

export interface Call {
  /** Default /api/v1/predict. */
  readonly path?: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** The client leaves when it aborts. */
  readonly signal?: AbortSignal;
}

/**
 * A client that keeps its connections and its books: `sent` = answers + failures (no answer: aborted, or the
 * connection broke) once nothing is on its way.
 */
export class Client {
  sent = 0;
  failed = 0;
  readonly #statuses = new Map<number, number>();
  readonly #url: string;
  readonly #key: string;
  readonly #agent = new Agent({ keepAlive: true });

  constructor({ url, key }: { readonly url: string; readonly key: string }) {
    this.#url = url;
    this.#key = key;
  }

  /** How many answers had each status, as in `{ 200: 64 }`. */
  get statuses(): Readonly<Record<number, number>> {
    return Object.fromEntries(this.#statuses);
  }

  /** POSTs text as it is, anything else as JSON. Rejects only where no answer came. */
  async predict(body: unknown, call: Call = {}): Promise<Answer> {
    const payload = typeof body === 'string' ? body : JSON.stringify(body);
    this.sent += 1;
    try {
      const answer = await this.#post(payload, call);
      this.#statuses.set(answer.status, (this.#statuses.get(answer.status) ?? 0) + 1);
      return answer;
    } catch (error) {
      this.failed += 1;
      throw error;
    }
  }

  /** To the default version of a model. */
  predictWith(model: string, inputs: unknown, parameters: object = {}, call: Call = {}): Promise<Answer> {
    return this.predict({ inputs, parameters }, { path: `/api/v1/models/${model}/predict`, ...call });
  }

  close(): void {
    this.#agent.destroy();
  }

  async #post(payload: string, { path = '/api/v1/predict', headers, signal }: Call): Promise<Answer> {
    const response = await new Promise<IncomingMessage>((resolve, reject) => {
      const sent = request(`${this.#url}${path}`, {
        method: 'POST',
        agent: this.#agent,
        headers: {
          'content-type': 'application/json',
          'content-length': Buffer.byteLength(payload),
          'x-api-key': this.#key,
          ...headers,
        },
        ...(signal === undefined ? {} : { signal }),
      });
      sent.once('response', resolve).on('error', reject);
      sent.end(payload);
    });
    const body = await text(response);
    return {
      status: response.statusCode ?? 0,
      headers: response.headers,
      text: body,
      body: JSON.parse(body) as AnswerBody,
    };
  }
}

/** Results in the order of the items, at most `concurrency` on their way at once. */
export async function mapConcurrently<Item, Result>(
  items: readonly Item[],
  concurrency: number,
  map: (item: Item, index: number) => Promise<Result>,
): Promise<Result[]> {
  const results: Result[] = [];
  // All lanes take from one iterator: each item is mapped once.
  const queue = items.entries();
  const lane = async () => {
    for (const [index, item] of queue) results[index] = await map(item, index);
  };
  await Promise.all(Array.from({ length: concurrency }, lane));
  return results;
}

/** The one prediction of a 200; the whole answer is the message where it is another. */
export function predictionOf({ status, text: body, body: { predictions } }: Answer): PredictionBody {
  const [prediction] = status === 200 ? predictions : [];
  if (prediction === undefined) throw new Error(`expected a prediction, found ${status} ${body}`);
  return prediction;
}

/** The output of a 200. */
export function outputOf(answer: Answer): PredictionBody['output'] {
  return predictionOf(answer).output;
}
