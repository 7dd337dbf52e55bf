import { MillraceError } from '../../errors.ts';
import type { BatchLedger } from '../../queues/batch/batch-ledger.ts';

const retryAfterS = 5;

/** Throws `rate_limit_exceeded` when so many batches of the owner have not ended that there may be no other. */
export async function checkOpenBatches(
  ledger: Pick<BatchLedger, 'openCount'>,
  owner: string,
  countMax: number,
): Promise<void> {
  const count = await ledger.openCount(owner);
  if (count < countMax) return;
  throw new MillraceError('rate_limit_exceeded', 'Too many batches of this caller have not ended', {
    details: `Expected fewer than ${countMax}, found ${count}`,
    retryAfterS,
  });
}
