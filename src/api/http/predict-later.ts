import { InstanceUpload } from '../batch/ingest/instance-upload.ts';
import { hasScope } from '../credentials.ts';
import type { PredictParser } from '../predict-request.ts';
import type { Answer, StreamedAnswer } from './answer.ts';
import { callerOf } from './batch-routes.ts';
import { acceptedAnswer, submitUpload, takeUpload } from './batch-submit-routes.ts';
import type { BatchSubmitOptions } from './batch-submit-routes.ts';
import type { BodyReader } from './body-reader.ts';
import type { Exchange } from './exchange.ts';
import { parsePrefer, respondAsyncApplied } from './prefer.ts';

/** Answers a predict whose caller prefers not to wait; undefined for all others, which nobody has looked into yet. */
export type PredictLater = (exchange: Exchange) => Promise<Answer | StreamedAnswer> | undefined;

export interface PredictLaterOptions extends BatchSubmitOptions {
  readonly bodyReader: BodyReader;
  readonly parse: PredictParser;
}

/**
 * `Prefer: respond-async` makes a batch of one of a predict. Whoever may not ask about batches would never see what
 * comes of it, and gets its answer as if it had no preference.
 */
export function createPredictLater(options: PredictLaterOptions): PredictLater {
  return (exchange) => {
    const { prefer } = exchange.request.headers;
    if (prefer === undefined || !parsePrefer(prefer).respondAsync) return undefined;
    return hasScope(callerOf(exchange), 'batch') ? predictLater(options, exchange) : undefined;
  };
}

async function predictLater(
  options: PredictLaterOptions,
  exchange: Exchange,
): Promise<Answer | StreamedAnswer> {
  const permit = await options.batches.admit(callerOf(exchange).id, exchange.params[0]);
  try {
    const { value, text } = await options.bodyReader.readJson(exchange);
    const upload = new InstanceUpload(options.parse(value), text);
    return await submitUpload(options, exchange, {
      body: once(text),
      take: async (id, body) => {
        // It is in memory already, and read for the sake of who compares bodies under one key.
        for await (const piece of body) void piece;
        return takeUpload(options, exchange, permit, { id, upload, stop: () => undefined });
      },
      answer: (record) => acceptedAnswer(options, record, respondAsyncApplied),
    });
  } finally {
    permit.release();
  }
}

async function* once(text: string): AsyncGenerator<Buffer> {
  yield Buffer.from(text);
}
