import { isFinal } from '../../queues/batch/batch.ts';
import type { BatchRecord } from '../../queues/batch/batch.ts';
import type { BatchLedger, BatchWatcher } from '../../queues/batch/batch-ledger.ts';

export interface BatchEndOptions {
  readonly ledger: Pick<BatchLedger, 'get'>;
  readonly watcher: Pick<BatchWatcher, 'watch'>;
}

/**
 * The batch once it has ended, or as it is when `waitMs` are over or `signal` aborts. It is read after each change and
 * without delay: somebody waits for the answer. Where it cannot be read it counts as unchanged.
 */
export function untilEnded(
  { ledger, watcher }: BatchEndOptions,
  batch: BatchRecord,
  waitMs: number,
  signal: AbortSignal,
): Promise<BatchRecord> {
  if (isFinal(batch.status) || waitMs === 0 || signal.aborted) return Promise.resolve(batch);
  return new Promise((resolve) => {
    let newest = batch;
    let isReading = false;
    let isStale = false;
    const finish = (): void => {
      clearTimeout(timer);
      signal.removeEventListener('abort', finish);
      unwatch();
      resolve(newest);
    };
    const read = (): void => {
      isStale = isReading;
      if (isReading) return;
      isReading = true;
      void ledger
        .get(batch.id)
        .catch(() => undefined)
        .then((record) => {
          isReading = false;
          newest = record ?? newest;
          if (isFinal(newest.status)) finish();
          else if (isStale) read();
        });
    };
    const timer = setTimeout(finish, waitMs);
    signal.addEventListener('abort', finish);
    const unwatch = watcher.watch(batch.id, read);
  });
}
