import { MillraceError } from '../../errors.ts';
import { isFinal } from '../../queues/batch/batch.ts';
import type { BatchRecord } from '../../queues/batch/batch.ts';
import type { BatchLedger } from '../../queues/batch/batch-ledger.ts';
import { isBatchId, ownerSeenBy, visibleBatch } from '../batch/batch-access.ts';
import { toBatchObject } from '../batch/batch-view.ts';
import type { Principal } from '../credentials.ts';
import { jsonAnswer, jsonType } from './answer.ts';
import type { Answer } from './answer.ts';
import { etagged } from './conditional.ts';
import type { Exchange } from './exchange.ts';
import { integerOf, parseQuery, refusedQuery } from './query.ts';
import type { Route } from './route-table.ts';

export interface BatchRoutesOptions {
  readonly ledger: Pick<BatchLedger, 'get' | 'hasExpired' | 'list' | 'cancel' | 'pause' | 'resume'>;
  /** There are chunks for the lane of this pool, or there is room in it. */
  readonly feed: (pool: string) => void;
  /** Of the shared clock. */
  readonly nowMs: () => number;
}

export const batchPage = { default: 20, max: 100 } as const;

const listQuery = ['limit', 'cursor'] as const;

/** What can be done with a batch once it is there, but for reading what came of it. */
export function batchRoutes(options: BatchRoutesOptions): readonly Route[] {
  const { ledger, feed, nowMs } = options;
  const route = { scope: 'batch', produces: jsonType, query: [] } as const;
  const one = { ...route, template: '/api/v1/batch/{id}' } as const;
  const seen = (exchange: Exchange): Promise<BatchRecord> => batchOf(exchange, ledger);
  const shown = (status: number, record: BatchRecord): Answer =>
    jsonAnswer(status, toBatchObject(record, nowMs()));
  return [
    {
      ...route,
      method: 'GET',
      template: '/api/v1/batch',
      query: listQuery,
      handler: (exchange) => list(options, exchange),
    },
    {
      ...one,
      method: 'GET',
      // Weak: the time to the end goes by without a change of the batch.
      handler: async (exchange) => {
        const record = await seen(exchange);
        return etagged(exchange, `W/"${record.revision}"`, shown(200, record));
      },
    },
    {
      ...one,
      method: 'DELETE',
      handler: async (exchange) => {
        const record = await seen(exchange);
        if (isFinal(record.status)) return shown(200, record);
        const cancelled = await ledger.cancel(record.id);
        feed(record.pool);
        return shown(202, cancelled);
      },
    },
    {
      ...one,
      method: 'POST',
      template: `${one.template}/pause`,
      handler: async (exchange) => shown(200, await ledger.pause((await seen(exchange)).id)),
    },
    {
      ...one,
      method: 'POST',
      template: `${one.template}/resume`,
      handler: async (exchange) => {
        const record = await ledger.resume((await seen(exchange)).id);
        feed(record.pool);
        return shown(200, record);
      },
    },
  ];
}

/** Whoever reached a handler of a route with a scope. Throws `internal_error` where that is not so. */
export function callerOf({ principal }: Exchange): Principal {
  if (principal === null) throw new MillraceError('internal_error', 'A route without a scope asks who calls');
  return principal;
}

/** The batch that the path names, if the caller may see it. Throws as visibleBatch does. */
export async function batchOf(
  exchange: Exchange,
  ledger: Pick<BatchLedger, 'get' | 'hasExpired'>,
): Promise<BatchRecord> {
  const record = await visibleBatch(ledger, exchange.params[0] ?? '', callerOf(exchange));
  exchange.model = record.model;
  exchange.version = record.version;
  return record;
}

async function list({ ledger, nowMs }: BatchRoutesOptions, exchange: Exchange): Promise<Answer> {
  const query = parseQuery(exchange.search, listQuery);
  const limit = integerOf(query, 'limit', { min: 1, max: batchPage.max, default: batchPage.default });
  const after = query.get('cursor') ?? null;
  if (after !== null && !isBatchId(after))
    throw refusedQuery('cursor', 'next_cursor of the page before', JSON.stringify(after.slice(0, 40)));
  const { batches, next } = await ledger.list(ownerSeenBy(callerOf(exchange)), after, limit);
  return jsonAnswer(200, {
    batches: batches.map((record) => toBatchObject(record, nowMs())),
    next_cursor: next,
    links: { next: next === null ? null : `/api/v1/batch?limit=${limit}&cursor=${next}` },
  });
}
