import { MillraceError } from '../../errors.ts';
import type { BatchRecord } from '../../queues/batch/batch.ts';
import type { BatchLedger } from '../../queues/batch/batch-ledger.ts';
import { hasScope } from '../credentials.ts';
import type { Principal } from '../credentials.ts';

const batchIdPattern = /^batch_[0-9A-HJKMNP-TV-Z]{26}$/;

export function isBatchId(text: string): boolean {
  return batchIdPattern.test(text);
}

/** Whose batches a caller sees: its own, or everybody's. */
export function ownerSeenBy(principal: Principal): string | null {
  return hasScope(principal, 'admin') ? null : principal.id;
}

/**
 * The batch if this caller may see it. Throws `not_found` otherwise: another caller's batch is as unknown as one that
 * never was; of one that has expired the details say so.
 */
export async function visibleBatch(
  ledger: Pick<BatchLedger, 'get' | 'hasExpired'>,
  id: string,
  principal: Principal,
): Promise<BatchRecord> {
  const record = isBatchId(id) ? await ledger.get(id) : undefined;
  const owner = ownerSeenBy(principal);
  if (record !== undefined && (owner === null || record.owner === owner)) return record;
  const expired = record === undefined && isBatchId(id) && (await ledger.hasExpired(id));
  throw new MillraceError('not_found', 'There is no such batch', {
    details: expired
      ? 'The batch and its results have expired'
      : 'It may have expired long ago, or belong to another caller',
  });
}
