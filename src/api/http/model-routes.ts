import { hash } from 'node:crypto';
import type { Resolver } from '../../registry/resolver.ts';
import { modelSummary, modelView, versionView } from '../model-view.ts';
import type { IsFlagged } from '../model-view.ts';
import { jsonType } from './answer.ts';
import type { Answer } from './answer.ts';
import { etagged } from './conditional.ts';
import type { Exchange } from './exchange.ts';
import { integerOf, parseQuery } from './query.ts';
import type { Route } from './route-table.ts';

export const modelPage = { default: 50, max: 200 } as const;

/** Reading the registry, from the snapshot that predict uses too. */
export function modelRoutes(
  resolver: Pick<Resolver, 'resolve' | 'model' | 'models'>,
  isFlagged: IsFlagged,
): readonly Route[] {
  const route = { method: 'GET', scope: 'models:read', produces: jsonType } as const;
  return [
    {
      ...route,
      template: '/api/v1/models',
      query: ['limit', 'cursor'],
      handler: (exchange) => {
        const query = parseQuery(exchange.search, ['limit', 'cursor']);
        const limit = integerOf(query, 'limit', { min: 1, max: modelPage.max, default: modelPage.default });
        return readable(exchange, pageOf(resolver, query.get('cursor') ?? '', limit));
      },
    },
    {
      ...route,
      template: '/api/v1/models/{model}',
      query: [],
      handler: (exchange) => {
        const model = resolver.model(exchange.params[0] ?? '');
        exchange.model = model.name;
        return readable(exchange, modelView(model, isFlagged));
      },
    },
    {
      ...route,
      template: '/api/v1/models/{model}/versions/{version}',
      query: [],
      handler: (exchange) => {
        const version = resolver.resolve(exchange.params[0] ?? '', exchange.params[1]);
        exchange.model = version.model;
        exchange.version = version.version;
        return readable(exchange, versionView(version, resolver.model(version.model), isFlagged));
      },
    },
  ];
}

/** Models are listed by name, and the cursor is the last name seen: a page stays right when models come and go. */
function pageOf(resolver: Pick<Resolver, 'models'>, after: string, limit: number) {
  const rest = resolver.models().filter((model) => model.name > after);
  const page = rest.slice(0, limit);
  return {
    models: page.map(modelSummary),
    next_cursor: rest.length > limit ? (page.at(-1)?.name ?? null) : null,
  };
}

/** Kept by the caller alone and asked for again each time: cheap where nothing changed. */
const cacheHeaders = [
  'Cache-Control',
  'private, no-cache',
  'Vary',
  'Accept, Authorization, X-API-Key',
] as const;

function readable(exchange: Exchange, value: unknown): Answer {
  const body = JSON.stringify(value);
  const etag = `"${hash('sha256', body, 'base64url').slice(0, 22)}"`;
  return etagged(exchange, etag, { status: 200, headers: ['Content-Type', jsonType, ...cacheHeaders], body });
}
