import { MillraceError } from '../../errors.ts';
import type { BatchLedger } from './batch-ledger.ts';

const retryAfterS = 5;

/**
 * Throws `rate_limit_exceeded` when so many batches of the owner have not ended that there may be no other. For whoever
 * would else do much before the batch is made: of calls at the same time each finds what there was before.
 */
export async function checkOpenBatches(
  ledger: Pick<BatchLedger, 'openCount'>,
  owner: string,
  countMax: number,
): Promise<void> {
  const count = await ledger.openCount(owner);
  if (count >= countMax) throw tooManyOpen(count, countMax);
}

export function tooManyOpen(count: number, countMax: number): MillraceError {
  return new MillraceError('rate_limit_exceeded', 'Too many batches of this caller have not ended', {
    details: `Expected fewer than ${countMax}, found ${count}`,
    retryAfterS,
  });
}
