import type { Permit } from '../admission.ts';
import type { DataPlane, PredictAnswer, PredictCall } from '../data-plane.ts';
import { Fingerprint } from '../idempotency/fingerprint.ts';
import { parseIdempotencyKey } from '../idempotency/idempotency-key.ts';
import type { Idempotency } from '../idempotency/idempotency.ts';
import type { PredictParser } from '../predict-request.ts';
import { jsonAnswer, jsonType } from './answer.ts';
import type { Answer, StreamedAnswer } from './answer.ts';
import type { BodyReader } from './body-reader.ts';
import { reuseOf } from './cache-control.ts';
import type { Exchange } from './exchange.ts';
import type { PredictLater } from './predict-later.ts';
import type { Route } from './route-table.ts';

export interface PredictRoutesOptions {
  readonly dataPlane: DataPlane;
  readonly bodyReader: BodyReader;
  readonly parse: PredictParser;
  readonly idempotency: Pick<Idempotency, 'around'>;
  readonly later: PredictLater;
}

/** The three ways to name a model; each translates HTTP and calls the data plane. */
export function predictRoutes(options: PredictRoutesOptions): readonly Route[] {
  const handler = (exchange: Exchange): Promise<Answer | StreamedAnswer> => predict(options, exchange);
  const route = { method: 'POST', scope: 'predict', produces: jsonType, query: [], handler } as const;
  return [
    { ...route, template: '/api/v1/predict' },
    { ...route, template: '/api/v1/models/{model}/predict' },
    { ...route, template: '/api/v1/models/{model}/versions/{version}/predict' },
  ];
}

async function predict(options: PredictRoutesOptions, exchange: Exchange): Promise<Answer | StreamedAnswer> {
  const { dataPlane, bodyReader, parse, later } = options;
  const answer = later(exchange);
  if (answer !== undefined) return answer;
  const permit = dataPlane.admit(exchange.params[0], exchange.startedAtMs);
  try {
    const { value, text } = await bodyReader.readJson(exchange);
    const call: PredictCall = {
      requestId: exchange.requestId,
      predictionId: `pred_${exchange.serial}`,
      model: exchange.params[0],
      ref: exchange.params[1],
      request: parse(value),
      reuse: reuseOf(exchange.request.headers['cache-control']),
      text,
      startedAtMs: exchange.startedAtMs,
      signal: exchange,
      onResolved: (version) => {
        exchange.model = version.model;
        exchange.version = version.version;
      },
    };
    const key = exchange.request.headers['idempotency-key'];
    if (key !== undefined) return await predictOnce(options, exchange, permit, call, key);
    return toAnswer(exchange, await dataPlane.predict(permit, call));
  } finally {
    permit.release();
  }
}

async function predictOnce(
  { dataPlane, idempotency }: PredictRoutesOptions,
  exchange: Exchange,
  permit: Permit,
  call: PredictCall,
  key: string | readonly string[],
): Promise<Answer | StreamedAnswer> {
  const { request, requestId, signal, principal } = exchange;
  const fingerprint = new Fingerprint('POST', request.url ?? '');
  fingerprint.add(call.text);
  return idempotency.around({
    key: parseIdempotencyKey(key),
    principal: principal?.id ?? '',
    requestId,
    fingerprint: fingerprint.end(),
    dueMs: dataPlane.dueMs(call),
    signal,
    batchId: '',
    run: async (turn) => {
      const onValid = (): void => turn.begin();
      return toAnswer(exchange, await dataPlane.predict(permit, { ...call, signal: goesOn, onValid }));
    },
  });
}

/** Whoever asked and left may ask again under the same key, and is to find an answer. */
const goesOn = new AbortController().signal;

function toAnswer(exchange: Exchange, answer: PredictAnswer): Answer {
  const { version, prediction, cache, batchWaitMs, queueMs, runMs } = answer;
  const totalMs = rounded(exchange.durationMs());
  exchange.timings = { batchWaitMs, queueMs, runMs, totalMs };
  exchange.cache = cache;
  const body = {
    predictions: [prediction],
    model_version: version.version,
    model_name: version.model,
    processing_time_ms: totalMs,
  };
  const waited = rounded(batchWaitMs + queueMs);
  return jsonAnswer(200, body, [
    'X-Cache',
    cache,
    'X-Model-Version',
    version.version,
    'Server-Timing',
    `queue;dur=${waited}, inference;dur=${rounded(runMs)}, total;dur=${totalMs}`,
  ]);
}

/** To a microsecond: more digits say nothing. */
function rounded(ms: number): number {
  return Math.round(ms * 1000) / 1000;
}
