import { MillraceError } from '../../errors.ts';
import type { Health } from '../health.ts';
import { jsonAnswer, jsonType } from './answer.ts';
import { errorAnswer } from './error-handler.ts';
import type { Route } from './route-table.ts';

/** Conditions of readiness by name, each read at once from what the process knows already. */
export type ReadinessCheck = () => Readonly<Record<string, boolean>>;

/** Health for people, probes for orchestrators. None of them needs credentials or touches a model. */
export function healthRoutes(health: Health, readiness: ReadinessCheck): readonly Route[] {
  const route = { method: 'GET', scope: 'public', produces: jsonType, query: null, unlimited: true } as const;
  return [
    {
      ...route,
      template: '/api/v1/health',
      handler: async () => {
        const report = await health.report();
        return jsonAnswer(report.status === 'unhealthy' ? 503 : 200, report);
      },
    },
    { ...route, template: '/livez', handler: () => jsonAnswer(200, { status: 'alive' }) },
    {
      ...route,
      template: '/readyz',
      handler: ({ requestId }) => {
        const conditions = readiness();
        if (Object.values(conditions).every(Boolean)) return jsonAnswer(200, { status: 'ready' });
        // An answer, not a failure: an orchestrator asks every few seconds, and the log need not hear of each.
        const error = new MillraceError('service_unavailable', 'Not ready to serve', { details: conditions });
        return errorAnswer(error, requestId);
      },
    },
  ];
}
