import type { DeadLetters } from '../../queues/batch/batch-ledger.ts';
import { isBatchId } from '../batch/batch-access.ts';
import { batchPath, toBatchObject } from '../batch/batch-view.ts';
import type { DeadLetterReplay } from '../batch/dead-letter-replay.ts';
import { toDeadLetterObject } from '../batch/dead-letter-view.ts';
import { jsonAnswer, jsonType } from './answer.ts';
import type { Answer, StreamedAnswer } from './answer.ts';
import type { Exchange } from './exchange.ts';
import { answerOnce, makeOnce } from './keyed-call.ts';
import type { KeyedSubmitOptions } from './keyed-submit.ts';
import { integerOf, parseQuery, refusedQuery } from './query.ts';
import type { Route } from './route-table.ts';

export interface DeadLetterRoutesOptions extends KeyedSubmitOptions {
  readonly letters: Pick<DeadLetters, 'list'>;
  readonly replay: DeadLetterReplay;
  /** Of the shared clock. */
  readonly nowMs: () => number;
}

export const deadLetterPage = { default: 20, max: 100 } as const;

const template = '/api/v1/dead-letters';
const listQuery = ['limit', 'cursor'] as const;
const replayQuery = ['model', 'batch'] as const;

/** Rows that all attempts failed on, for whoever runs the installation. */
export function deadLetterRoutes(options: DeadLetterRoutesOptions): readonly Route[] {
  const { replay, nowMs } = options;
  const route = { scope: 'admin', produces: jsonType, query: [] } as const;
  return [
    { ...route, method: 'GET', template, query: listQuery, handler: (exchange) => list(options, exchange) },
    {
      ...route,
      method: 'POST',
      template: `${template}/replay`,
      query: replayQuery,
      handler: (exchange) => replayAll(options, exchange),
    },
    {
      ...route,
      method: 'POST',
      template: `${template}/{id}/replay`,
      handler: (exchange) =>
        makeOnce(options, exchange, {
          make: (id) => replay.one(exchange.params[0] ?? '', id),
          answer: async (batch) =>
            jsonAnswer(202, toBatchObject(batch, nowMs()), ['Location', batchPath(batch.id)]),
        }),
    },
  ];
}

async function list({ letters }: DeadLetterRoutesOptions, exchange: Exchange): Promise<Answer> {
  const query = parseQuery(exchange.search, listQuery);
  const limit = integerOf(query, 'limit', {
    min: 1,
    max: deadLetterPage.max,
    default: deadLetterPage.default,
  });
  const cursor = query.get('cursor') ?? null;
  if (cursor !== null && !/^\d{1,15}$/.test(cursor))
    throw refusedQuery('cursor', 'next_cursor of the page before', JSON.stringify(cursor.slice(0, 40)));
  const page = await letters.list(cursor, limit);
  return jsonAnswer(200, {
    dead_letters: page.letters.map(toDeadLetterObject),
    next_cursor: page.next,
    links: { next: page.next === null ? null : `${template}?limit=${limit}&cursor=${page.next}` },
  });
}

async function replayAll(
  options: DeadLetterRoutesOptions,
  exchange: Exchange,
): Promise<Answer | StreamedAnswer> {
  const { replay, nowMs } = options;
  const query = parseQuery(exchange.search, replayQuery);
  const batchId = query.get('batch') ?? null;
  if (batchId !== null && !isBatchId(batchId))
    throw refusedQuery('batch', 'the id of a batch', JSON.stringify(batchId.slice(0, 40)));
  return answerOnce(options, exchange, async () => {
    const batches = await replay.all({ model: query.get('model') ?? null, batchId });
    return jsonAnswer(202, { batches: batches.map((batch) => toBatchObject(batch, nowMs())) });
  });
}
