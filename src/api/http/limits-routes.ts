import type { BatchLedger } from '../../queues/batch/batch-ledger.ts';
import { limitsFor } from '../limits.ts';
import type { LimitSettings } from '../limits.ts';
import { jsonAnswer, jsonType } from './answer.ts';
import { callerOf } from './batch-routes.ts';
import type { Route } from './route-table.ts';

export interface LimitsRoutesOptions {
  readonly settings: LimitSettings;
  readonly ledger: Pick<BatchLedger, 'openCount'>;
}

/** Any key will do: what it may is what it asks for. */
export function limitsRoutes({ settings, ledger }: LimitsRoutesOptions): readonly Route[] {
  return [
    {
      method: 'GET',
      template: '/api/v1/limits',
      scope: 'any',
      produces: jsonType,
      query: [],
      handler: async (exchange) => {
        const caller = callerOf(exchange);
        return jsonAnswer(200, limitsFor(settings, caller, await ledger.openCount(caller.id)));
      },
    },
  ];
}
