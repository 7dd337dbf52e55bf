import type { MillraceError } from '../../errors.ts';
import type { BatchRecord } from '../../queues/batch/batch.ts';
import type { BatchLedger } from '../../queues/batch/batch-ledger.ts';
import type { Permit } from '../admission.ts';
import type { BatchEndOptions } from '../batch/batch-end.ts';
import { untilEnded } from '../batch/batch-end.ts';
import { batchQuery } from '../batch/batch-parameters.ts';
import { batchPath, toBatchObject } from '../batch/batch-view.ts';
import type { BatchCall, Batches } from '../batch/batches.ts';
import { documentBody } from '../batch/results/document-body.ts';
import type { DocumentSource } from '../batch/results/document-body.ts';
import { newBatchId } from '../idempotency/batch-turn.ts';
import { jsonAnswer, jsonType } from './answer.ts';
import type { Answer, StreamedAnswer } from './answer.ts';
import { callerOf } from './batch-routes.ts';
import type { Exchange } from './exchange.ts';
import { submitOnce } from './keyed-submit.ts';
import type { KeyedSubmitOptions } from './keyed-submit.ts';
import { parsePrefer, respondAsyncApplied } from './prefer.ts';
import type { Route } from './route-table.ts';
import { UploadBody } from './upload-body.ts';
import type { UploadLimits } from './upload-body.ts';
import { planUpload } from './upload-of.ts';
import type { UploadFormatLimits } from './upload-of.ts';

export interface BatchSubmitOptions extends KeyedSubmitOptions {
  readonly batches: Batches;
  readonly ledger: KeyedSubmitOptions['ledger'] & Pick<BatchLedger, 'durable'>;
  readonly watcher: BatchEndOptions['watcher'];
  readonly results: DocumentSource;
  readonly limits: UploadLimits & UploadFormatLimits;
  /** Where the caller does not say, and at most. */
  readonly waitMs: number;
  readonly waitMsMax: number;
  /** Of the shared clock. */
  readonly nowMs: () => number;
}

/** The three ways to name a model; each translates HTTP and calls the data plane of batches. */
export function batchSubmitRoutes(options: BatchSubmitOptions): readonly Route[] {
  const handler = (exchange: Exchange): Promise<Answer | StreamedAnswer> => submit(options, exchange);
  const route = { method: 'POST', scope: 'batch', produces: jsonType, query: batchQuery, handler } as const;
  return [
    { ...route, template: '/api/v1/batch' },
    { ...route, template: '/api/v1/models/{model}/batch' },
    { ...route, template: '/api/v1/models/{model}/versions/{version}/batch' },
  ];
}

async function submit(options: BatchSubmitOptions, exchange: Exchange): Promise<Answer | StreamedAnswer> {
  const plan = planUpload(exchange, options.limits);
  const wait = waitOf(options, exchange, plan.format === 'json');
  const body = new UploadBody(exchange, options.limits);
  return submitUpload(options, exchange, {
    body,
    take: async (id, bytes) => {
      const permit = await options.batches.admit(callerOf(exchange).id, exchange.params[0]);
      try {
        exchange.continue();
        const stop = (error: MillraceError): void => body.stop(error);
        return await takeUpload(options, exchange, permit, { id, upload: plan.open(bytes), stop });
      } finally {
        permit.release();
      }
    },
    answer: (record, signal) => answerOf(options, exchange, record, { ...wait, signal }),
  });
}

export interface Submission {
  /** As it came, read once. */
  readonly body: AsyncIterable<Buffer>;
  /** Takes the body to its end and makes a batch of it under this id. */
  readonly take: (id: string, body: AsyncIterable<Buffer>) => Promise<BatchRecord>;
  /** `signal` aborts when nobody waits any more. */
  readonly answer: (record: BatchRecord, signal: AbortSignal) => Promise<Answer | StreamedAnswer>;
}

/** Whoever asked under a key and left may ask again, and is to find an answer. */
const goesOn = new AbortController().signal;

/** One batch for each call, or for all calls with one `Idempotency-Key`. */
export async function submitUpload(
  options: KeyedSubmitOptions & Pick<BatchSubmitOptions, 'waitMsMax'>,
  exchange: Exchange,
  { body, take, answer }: Submission,
): Promise<Answer | StreamedAnswer> {
  const key = exchange.request.headers['idempotency-key'];
  if (key === undefined) return answer(await take(newBatchId(), body), exchange.signal);
  const dueMs = exchange.startedAtMs + options.waitMsMax;
  return submitOnce(options, exchange, {
    key,
    body,
    dueMs,
    take,
    answer: (record) => answer(record, goesOn),
  });
}

/** Calls the data plane in the name of the exchange's caller. */
export function takeUpload(
  { batches }: Pick<BatchSubmitOptions, 'batches'>,
  exchange: Exchange,
  permit: Permit,
  call: Pick<BatchCall, 'id' | 'upload' | 'stop'>,
): Promise<BatchRecord> {
  const [model, ref] = exchange.params;
  return batches.take(permit, {
    ...call,
    owner: callerOf(exchange).id,
    model,
    ref,
    onResolved: (version) => {
      exchange.model = version.model;
      exchange.version = version.version;
    },
  });
}

async function answerOf(
  options: BatchSubmitOptions,
  exchange: Exchange,
  batch: BatchRecord,
  wait: HeededWait,
): Promise<Answer | StreamedAnswer> {
  if (wait.ms === 0) return acceptedAnswer(options, batch, wait.headers);
  const ended = await endedAndDurable(options, batch, wait);
  return ended.status === 'completed'
    ? documentAnswer(options, exchange, ended, wait)
    : acceptedAnswer(options, ended, wait.headers);
}

/** Whoever gets the predictions at once may ask for the batch again, too. Its end and the file are waited for together. */
async function endedAndDurable(
  options: Pick<BatchSubmitOptions, 'ledger' | 'watcher'>,
  batch: BatchRecord,
  wait: HeededWait,
): Promise<BatchRecord> {
  const over = new AbortController();
  const signal = AbortSignal.any([wait.signal, over.signal]);
  try {
    const waits = [untilEnded(options, batch, wait.ms, signal), options.ledger.durable(batch)] as const;
    const [ended] = await Promise.all(waits);
    return ended;
  } finally {
    over.abort();
  }
}

interface Wait {
  /** 0: the answer is the batch, done or not. */
  readonly ms: number;
  /** `Preference-Applied`, where a preference was. */
  readonly headers: readonly string[];
}

interface HeededWait extends Wait {
  /** Aborts when nobody waits any more. */
  readonly signal: AbortSignal;
}

/** Rows that are streamed may be any number: nobody waits for them. A wait beyond the longest is shortened to it. */
function waitOf({ waitMs, waitMsMax }: BatchSubmitOptions, exchange: Exchange, mayWait: boolean): Wait {
  const { respondAsync, waitS } = parsePrefer(exchange.request.headers['prefer']);
  if (respondAsync) return { ms: 0, headers: respondAsyncApplied };
  if (!mayWait) return { ms: 0, headers: [] };
  if (waitS === null) return { ms: waitMs, headers: [] };
  const ms = Math.min(waitS * 1000, waitMsMax);
  return { ms, headers: ['Preference-Applied', `wait=${Math.floor(ms / 1000)}`] };
}

/** Only once the batch is where no crash of Redis can lose it. */
export async function acceptedAnswer(
  { ledger, nowMs }: Pick<BatchSubmitOptions, 'ledger' | 'nowMs'>,
  batch: BatchRecord,
  headers: readonly string[],
): Promise<Answer> {
  await ledger.durable(batch);
  return jsonAnswer(202, toBatchObject(batch, nowMs()), ['Location', batchPath(batch.id), ...headers]);
}

/** Beyond this an answer is sent while it is made. */
const gatheredCharsMax = 1_048_576;

async function documentAnswer(
  { results }: BatchSubmitOptions,
  exchange: Exchange,
  batch: BatchRecord,
  wait: HeededWait,
): Promise<Answer | StreamedAnswer> {
  const headers = [
    'Content-Type',
    jsonType,
    'Cache-Control',
    'no-store',
    'X-Model-Version',
    batch.version,
    ...wait.headers,
  ];
  const processingMs = (): number => Math.round(exchange.durationMs() * 1000) / 1000;
  const pieces = documentBody(results, batch, processingMs, wait.signal);
  let gathered = '';
  for (;;) {
    // oxlint-disable-next-line no-await-in-loop
    const { done, value } = await pieces.next();
    if (done === true) return { status: 200, headers, body: gathered };
    gathered += value;
    if (gathered.length > gatheredCharsMax)
      return { status: 200, headers, pieces: withFirst(gathered, pieces) };
  }
}

async function* withFirst(first: string, rest: AsyncGenerator<string>): AsyncGenerator<string> {
  try {
    yield first;
    yield* rest;
  } finally {
    await rest.return(undefined);
  }
}
