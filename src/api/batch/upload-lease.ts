import { channels } from '../../channels.ts';
import type { FaultEvent } from '../../channels.ts';
import { MillraceError } from '../../errors.ts';
import type { BatchLedger } from '../../queues/batch/batch-ledger.ts';

export interface UploadLeaseOptions {
  readonly ledger: Pick<BatchLedger, 'touch'>;
  readonly batchId: string;
  readonly everyMs: number;
  /** Whether there is a batch already. */
  readonly isBegun: () => boolean;
  /** The batch has ended before its upload. */
  readonly onLost: (error: MillraceError) => void;
}

/** Keeps the batch of an upload that is slow, and hears in between when somebody has cancelled it. Returns its end. */
export function keepLease({ ledger, batchId, everyMs, isBegun, onLost }: UploadLeaseOptions): () => void {
  let isBusy = false;
  const touch = (): void => {
    if (isBusy || !isBegun()) return;
    isBusy = true;
    ledger.touch(batchId).then(
      () => (isBusy = false),
      (error: unknown) => {
        isBusy = false;
        if (MillraceError.is(error) && error.code !== 'service_unavailable') onLost(error);
        else
          channels.fault.publish({
            component: 'batch-upload',
            message: 'The lease of an upload could not be renewed',
            error,
          } satisfies FaultEvent);
      },
    );
  };
  const timer = setInterval(touch, everyMs);
  return () => clearInterval(timer);
}
