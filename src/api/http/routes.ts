import type { Resolver } from '../../registry/resolver.ts';
import type { DataPlane } from '../data-plane.ts';
import type { Health } from '../health.ts';
import type { Idempotency } from '../idempotency/idempotency.ts';
import type { IsFlagged } from '../model-view.ts';
import { openApiDocument } from '../openapi/document.ts';
import { createPredictParser } from '../predict-request.ts';
import type { PredictParser } from '../predict-request.ts';
import type { BodyReader } from './body-reader.ts';
import { docsRoutes } from './docs-routes.ts';
import { healthRoutes } from './health-routes.ts';
import type { ReadinessCheck } from './health-routes.ts';
import { modelRoutes } from './model-routes.ts';
import type { PredictLater } from './predict-later.ts';
import { predictRoutes } from './predict-routes.ts';
import { RouteTable } from './route-table.ts';
import type { Route } from './route-table.ts';

export interface RoutesOptions {
  readonly version: string;
  readonly dataPlane: DataPlane;
  readonly bodyReader: BodyReader;
  readonly idempotency: Pick<Idempotency, 'around'>;
  readonly resolver: Pick<Resolver, 'resolve' | 'model' | 'models'>;
  readonly isFlagged: IsFlagged;
  readonly health: Health;
  readonly readiness: ReadinessCheck;
  readonly timeoutMsMax: number;
  readonly batches: BatchRoutes;
}

/** Everything about batches. */
export interface BatchRoutes {
  readonly routes: readonly Route[];
  /** `parse` reads the body of a predict. */
  readonly later: (bodyReader: BodyReader, parse: PredictParser) => PredictLater;
}

/** Everything that this API answers. A test holds it and the OpenAPI document together. */
export function createRouteTable(options: RoutesOptions): RouteTable {
  const {
    version,
    dataPlane,
    bodyReader,
    idempotency,
    resolver,
    isFlagged,
    health,
    readiness,
    timeoutMsMax,
    batches,
  } = options;
  const parse = createPredictParser(timeoutMsMax);
  const later = batches.later(bodyReader, parse);
  return new RouteTable([
    ...predictRoutes({ dataPlane, bodyReader, idempotency, parse, later }),
    ...batches.routes,
    ...modelRoutes(resolver, isFlagged),
    ...healthRoutes(health, readiness),
    ...docsRoutes(openApiDocument({ version, timeoutMsMax })),
  ]);
}
