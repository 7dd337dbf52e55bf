import type { BatchRecord } from '../../queues/batch/batch.ts';
import { Fingerprint } from '../idempotency/fingerprint.ts';
import { parseIdempotencyKey } from '../idempotency/idempotency-key.ts';
import type { Answer, StreamedAnswer } from './answer.ts';
import { callerOf } from './batch-routes.ts';
import type { Exchange } from './exchange.ts';
import { submitOnce } from './keyed-submit.ts';
import type { KeyedSubmitOptions } from './keyed-submit.ts';

/** How long a call waits for an equal one that is at work: as long as most clients would wait for either. */
const equalCallMs = 30_000;

export interface CallThatMakesABatch {
  /** Makes the batch, under this id where one is given. */
  readonly make: (id?: string) => Promise<BatchRecord>;
  readonly answer: (record: BatchRecord) => Promise<Answer>;
}

/** A call without a body that makes a batch: with an `Idempotency-Key` only once. Throws as Idempotency.around does. */
export async function makeOnce(
  options: KeyedSubmitOptions,
  exchange: Exchange,
  { make, answer }: CallThatMakesABatch,
): Promise<Answer | StreamedAnswer> {
  const key = exchange.request.headers['idempotency-key'];
  if (key === undefined) return answer(await make());
  return submitOnce(options, exchange, {
    key,
    body: nothing(),
    dueMs: exchange.startedAtMs + equalCallMs,
    take: async (id, body) => {
      for await (const piece of body) void piece;
      return make(id);
    },
    answer,
  });
}

/** A call without a body that is answered once where it has an `Idempotency-Key`. Throws as Idempotency.around does. */
export async function answerOnce(
  { idempotency }: Pick<KeyedSubmitOptions, 'idempotency'>,
  exchange: Exchange,
  run: () => Promise<Answer>,
): Promise<Answer | StreamedAnswer> {
  const { request, requestId, signal, startedAtMs } = exchange;
  const key = request.headers['idempotency-key'];
  if (key === undefined) return run();
  return idempotency.around({
    key: parseIdempotencyKey(key),
    principal: callerOf(exchange).id,
    requestId,
    fingerprint: new Fingerprint('POST', request.url ?? '').end(),
    dueMs: startedAtMs + equalCallMs,
    signal,
    batchId: '',
    run,
  });
}

async function* nothing(): AsyncGenerator<Buffer> {}
