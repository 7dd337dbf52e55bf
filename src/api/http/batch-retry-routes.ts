import type { BatchRetry } from '../batch/batch-retry.ts';
import { batchPath, toBatchObject } from '../batch/batch-view.ts';
import { jsonAnswer, jsonType } from './answer.ts';
import { batchOf } from './batch-routes.ts';
import { makeOnce } from './keyed-call.ts';
import type { KeyedSubmitOptions } from './keyed-submit.ts';
import type { Route } from './route-table.ts';

export interface BatchRetryRoutesOptions extends KeyedSubmitOptions {
  readonly retry: BatchRetry;
  /** Of the shared clock. */
  readonly nowMs: () => number;
}

/** The failed rows of an ended batch as a new one. */
export function batchRetryRoutes(options: BatchRetryRoutesOptions): readonly Route[] {
  const { ledger, retry, nowMs } = options;
  return [
    {
      method: 'POST',
      template: '/api/v1/batch/{id}/retry',
      scope: 'batch',
      produces: jsonType,
      query: [],
      handler: async (exchange) => {
        const batch = await batchOf(exchange, ledger);
        return makeOnce(options, exchange, {
          make: (id) => retry.retry(batch, id),
          answer: async (again) =>
            jsonAnswer(202, toBatchObject(again, nowMs()), ['Location', batchPath(again.id)]),
        });
      },
    },
  ];
}
