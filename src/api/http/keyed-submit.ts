import { MillraceError } from '../../errors.ts';
import type { BatchRecord } from '../../queues/batch/batch.ts';
import type { BatchLedger } from '../../queues/batch/batch-ledger.ts';
import { batchOfTurn, newBatchId } from '../idempotency/batch-turn.ts';
import { Fingerprint } from '../idempotency/fingerprint.ts';
import { parseIdempotencyKey } from '../idempotency/idempotency-key.ts';
import type { Idempotency } from '../idempotency/idempotency.ts';
import type { Answer, StreamedAnswer } from './answer.ts';
import { callerOf } from './batch-routes.ts';
import type { Exchange } from './exchange.ts';

export interface KeyedSubmitOptions {
  readonly idempotency: Pick<Idempotency, 'around'>;
  readonly ledger: Pick<BatchLedger, 'get' | 'hasExpired' | 'discard'>;
}

export interface KeyedSubmit {
  /** The header. */
  readonly key: string | readonly string[];
  /** The body as it came, read once. */
  readonly body: AsyncIterable<Buffer>;
  /** By performance.now(): for so long it waits for an equal request that is at work. */
  readonly dueMs: number;
  /** Takes the body to its end and makes a batch of it under this id. */
  take(id: string, body: AsyncIterable<Buffer>): Promise<BatchRecord>;
  /** The answer of a batch that was accepted. It must not depend on the caller's staying: others may ask for it again. */
  answer(record: BatchRecord): Promise<Answer | StreamedAnswer>;
}

/**
 * Submits a batch once, however often it is asked for with one key. While one request with the key takes its body the
 * others leave theirs unread; once there is a batch, theirs are read for nothing but comparison.
 */
export function submitOnce(
  { idempotency, ledger }: KeyedSubmitOptions,
  exchange: Exchange,
  submit: KeyedSubmit,
): Promise<Answer | StreamedAnswer> {
  const { request, requestId, signal } = exchange;
  const { key, body, dueMs } = submit;
  const fingerprint = new Fingerprint('POST', request.url ?? '');
  const readOn = async (): Promise<void> => {
    exchange.continue();
    for await (const piece of body) fingerprint.add(piece);
  };
  return idempotency.around({
    key: parseIdempotencyKey(key),
    principal: callerOf(exchange).id,
    requestId,
    fingerprint,
    dueMs,
    signal,
    batchId: newBatchId(),
    run: async (turn) => {
      const found = await batchOfTurn(turn, ledger);
      if (found.kind === 'new') {
        const seen = observed(body, fingerprint, () => turn.bodyRead());
        return submit.answer(await submit.take(found.id, seen));
      }
      await readOn();
      await turn.bodyRead();
      return submit.answer(found.record);
    },
    readOn,
    recreate: async (batchId) => {
      const record = await ledger.get(batchId);
      if (record !== undefined) return submit.answer(record);
      throw new MillraceError('not_found', 'The batch that this key made has expired');
    },
  });
}

/** The end is told only once `onEnd` has resolved: what it rejects with, the reader gets in place of the end. */
async function* observed(
  body: AsyncIterable<Buffer>,
  fingerprint: Fingerprint,
  onEnd: () => Promise<void>,
): AsyncGenerator<Buffer> {
  for await (const piece of body) {
    fingerprint.add(piece);
    yield piece;
  }
  await onEnd();
}
