import { MillraceError } from '../../errors.ts';
import { isFinal } from '../../queues/batch/batch.ts';
import type { BatchLedger } from '../../queues/batch/batch-ledger.ts';
import { batchEvents } from '../batch/batch-events.ts';
import { chunkResults } from '../batch/results/chunk-results.ts';
import type { ResultSource } from '../batch/results/chunk-results.ts';
import { FirstChunkAhead } from '../batch/results/first-chunk-ahead.ts';
import type { FactsOfBatches } from '../batch/results/output-facts.ts';
import { pageBody } from '../batch/results/page-body.ts';
import { rowTexts } from '../batch/results/row-texts.ts';
import type { RowRange } from '../batch/results/row-texts.ts';
import { compileRowWriter } from '../batch/results/row-writer.ts';
import { resultPage } from '../limits.ts';
import type { StreamPermits } from '../stream-permits.ts';
import { jsonType } from './answer.ts';
import type { Answer, StreamedAnswer } from './answer.ts';
import { batchOf, callerOf } from './batch-routes.ts';
import type { Exchange } from './exchange.ts';
import { preferredType } from './negotiate.ts';
import { integerOf, parseQuery, refusedQuery } from './query.ts';
import { Refusal } from './refusal.ts';
import type { Route } from './route-table.ts';

export interface BatchResultsOptions extends ResultSource {
  readonly ledger: ResultSource['ledger'] & Pick<BatchLedger, 'hasExpired'>;
  readonly facts: FactsOfBatches;
  readonly resultStreams: StreamPermits;
  /** Of their own: whoever has all its streams open can still read pages. */
  readonly resultPages: StreamPermits;
  readonly eventStreams: StreamPermits;
  /** Aborts when the process is told to stop: what waits for a batch to go on is cut then, what is being sent is not. */
  readonly stopping: AbortSignal;
  /** Of the shared clock. */
  readonly nowMs: () => number;
}

/** So often a stream of events writes something. */
export const heartbeatMs = 15_000;

const resultTypes = [jsonType, 'application/x-ndjson', 'text/csv'] as const;
const resultQuery = ['from', 'limit', 'cursor', 'follow'] as const;
const rowMax = Number.MAX_SAFE_INTEGER;
const noStore = ['Cache-Control', 'no-store'] as const;

/** What came of a batch, and what becomes of it. */
export function batchResultsRoutes(options: BatchResultsOptions): readonly Route[] {
  const route = { method: 'GET', scope: 'batch' } as const;
  return [
    {
      ...route,
      template: '/api/v1/batch/{id}/results',
      produces: null,
      query: resultQuery,
      handler: (exchange) => results(options, exchange),
    },
    {
      ...route,
      template: '/api/v1/batch/{id}/events',
      produces: 'text/event-stream',
      query: [],
      handler: (exchange) => events(options, exchange),
    },
  ];
}

async function results(options: BatchResultsOptions, exchange: Exchange): Promise<StreamedAnswer> {
  const mediaType = preferredType(exchange.request.headers.accept, resultTypes);
  if (mediaType === undefined) throw notAcceptable();
  const { facts, resultStreams, resultPages, stopping } = options;
  const range = wishOf(exchange.search, mediaType === jsonType);
  const { fromRow, prompt: follow } = range;
  const batch = await batchOf(exchange, options.ledger);
  const signal = AbortSignal.any([exchange.signal, stopping]);
  const chunks = new FirstChunkAhead(chunkResults(options, batch, { fromRow, follow, signal }));
  hold(exchange, mediaType === jsonType ? resultPages : resultStreams, () => chunks.end());
  // What is wrong shows before the status is out. Who follows is answered at once, however long the first row takes.
  if (!follow && exchange.request.method !== 'HEAD') await chunks.start();
  const writer = compileRowWriter(facts.of(batch), batch.render, formats[mediaType]);
  const headers = ['Content-Type', mediaType, ...noStore, 'Vary', 'Accept', 'X-Batch-Status', batch.status];
  const pieces =
    mediaType === jsonType ? pageBody(batch, chunks, writer, range) : rowTexts(chunks, writer, range);
  return { status: 200, headers, pieces };
}

const formats = { [jsonType]: 'json', 'application/x-ndjson': 'ndjson', 'text/csv': 'csv' } as const;

function wishOf(search: string, paged: boolean): RowRange {
  const query = parseQuery(search, resultQuery);
  const followed = query.get('follow') ?? 'false';
  if (followed !== 'true' && followed !== 'false')
    throw refusedQuery('follow', 'true or false', JSON.stringify(followed.slice(0, 40)));
  if (followed === 'true' && paged)
    throw refusedQuery('follow', 'application/x-ndjson or text/csv in Accept', 'pages of JSON');
  if (query.has('cursor') && query.has('from'))
    throw refusedQuery('cursor', 'a row in one of from and cursor', 'both');
  const fromRow = integerOf(query, query.has('cursor') ? 'cursor' : 'from', {
    min: 0,
    max: rowMax,
    default: 0,
  });
  const bounds = paged ? resultPage : { default: Number.POSITIVE_INFINITY, max: rowMax };
  const limit = integerOf(query, 'limit', { min: 1, ...bounds });
  return { fromRow, limit, prompt: followed === 'true' };
}

async function events(options: BatchResultsOptions, exchange: Exchange): Promise<Answer | StreamedAnswer> {
  const { feeds, ledger, eventStreams, stopping, nowMs } = options;
  const batch = await batchOf(exchange, ledger);
  const seenRevision = seenRevisionOf(exchange.request.headers['last-event-id'], batch.revision);
  // A browser comes back after every end, unless it is told that there is no more (WHATWG HTML §9.2.3).
  if (isFinal(batch.status) && seenRevision === batch.revision)
    return { status: 204, headers: noStore, body: '' };
  hold(exchange, eventStreams, () => undefined);
  const signal = AbortSignal.any([exchange.signal, stopping]);
  // Proxies such as nginx gather what they are given, unless they are told not to.
  const headers = ['Content-Type', 'text/event-stream', ...noStore, 'X-Accel-Buffering', 'no'];
  const pieces = batchEvents({ feeds, batch, seenRevision, signal, nowMs, heartbeatMs });
  return { status: 200, headers, pieces };
}

/**
 * An id that is none of ours is as good as none: the client gets the state as it is. So is one that is yet to come: it
 * was given out before a crash of Redis took the batch a step back.
 */
function seenRevisionOf(header: string | string[] | undefined, newest: number): number {
  const revision = typeof header === 'string' && /^\d{1,15}$/.test(header) ? Number(header) : 0;
  return revision <= newest ? revision : 0;
}

/** Takes a permit for as long as the exchange lasts. Throws `service_unavailable` when there is none. */
function hold(exchange: Exchange, permits: StreamPermits, onOver: () => void): void {
  // The client left while its batch was looked up: nobody would give the permit back.
  if (!exchange.open) throw new MillraceError('invalid_input', 'The client has left');
  const release = permits.take(callerOf(exchange).id);
  exchange.onOver = () => {
    release();
    onOver();
  };
}

function notAcceptable(): Refusal {
  return new Refusal('not_acceptable', undefined, {
    details: `This call answers ${resultTypes.join(', ')}`,
    headers: ['Vary', 'Accept'],
  });
}
