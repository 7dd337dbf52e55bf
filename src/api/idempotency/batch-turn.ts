import { ulid } from 'ulid';
import type { BatchRecord } from '../../queues/batch/batch.ts';
import type { BatchLedger } from '../../queues/batch/batch-ledger.ts';
import type { Turn } from './idempotency.ts';

/** `batch_` and a ULID: ids sort by the time at which they were chosen. */
export function newBatchId(): string {
  return `batch_${ulid()}`;
}

/** A batch that an earlier request with the key has brought to be accepted, or the id under which to make it. */
export type BatchOfTurn =
  | { readonly kind: 'accepted'; readonly record: BatchRecord }
  | { readonly kind: 'new'; readonly id: string };

/**
 * What the one before had done when its process died. An upload that was not complete is discarded: it cannot be gone on
 * with, since chunks may be cut otherwise today, and nobody was told of it.
 */
export async function batchOfTurn(
  turn: Pick<Turn, 'batchId' | 'takenOver' | 'renameBatch'>,
  ledger: Pick<BatchLedger, 'get' | 'hasExpired' | 'discard'>,
): Promise<BatchOfTurn> {
  const { batchId, takenOver } = turn;
  if (!takenOver) return { kind: 'new', id: batchId };
  const record = await ledger.get(batchId);
  if (record !== undefined && record.rowsTotal !== null) return { kind: 'accepted', record };
  if (record === undefined && !(await ledger.hasExpired(batchId))) return { kind: 'new', id: batchId };
  await ledger.discard(batchId);
  const id = newBatchId();
  await turn.renameBatch(id);
  return { kind: 'new', id };
}
