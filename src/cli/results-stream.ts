import type { IncomingMessage } from 'node:http';
import type { ApiClient } from './api-client.ts';
import { batchPath } from './batch-object.ts';
import { UnreachableError } from './failures.ts';
import { Reconnection } from './reconnection.ts';
import { mediaTypes } from './rows-source.ts';
import type { RowFormat } from './rows-source.ts';

export interface ResultsWish {
  readonly format: RowFormat;
  /** To the end of the batch, not only to the first row that has none yet. */
  readonly follow: boolean;
  readonly signal: AbortSignal;
  /** Told how the batch stood when its results were asked for. */
  readonly onStatus: (status: string) => void;
}

const newline = 0x0a;

/**
 * The results of a batch, as the server renders them. A stream of NDJSON that breaks goes on at the row where it broke:
 * only whole lines are passed on. The other formats cannot be cut so safely; they throw UnreachableError.
 */
export async function* readResults(api: ApiClient, id: string, wish: ResultsWish): AsyncGenerator<Buffer> {
  if (wish.format === 'json') return yield* joinedPages(api, id, wish);
  if (wish.format === 'csv') return yield* whole(await open(api, id, wish, 0));
  const reconnection = new Reconnection('The stream of results', wish.signal);
  let nextRow = 0;
  for (;;) {
    reconnection.opened();
    // One stream after the other: each begins where the one before broke.
    // oxlint-disable-next-line no-await-in-loop
    const lines = wholeLines(await open(api, id, wish, nextRow), wish.signal);
    let piece = await lines.next();
    for (; piece.done !== true; piece = await lines.next()) {
      reconnection.progressed();
      nextRow = rowAfter(piece.value);
      yield piece.value;
    }
    if (piece.value === 'ended') return;
    // oxlint-disable-next-line no-await-in-loop
    await reconnection.afterBreak();
  }
}

async function open(
  api: ApiClient,
  id: string,
  wish: ResultsWish,
  fromRow: number,
): Promise<IncomingMessage> {
  const query = new URLSearchParams();
  if (wish.follow) query.set('follow', 'true');
  if (fromRow > 0) query.set('from', String(fromRow));
  const answer = await api.open({
    method: 'GET',
    path: batchPath(id, `/results${query.size === 0 ? '' : `?${query.toString()}`}`),
    headers: { accept: mediaTypes[wish.format] },
  });
  wish.onStatus(String(answer.headers['x-batch-status']));
  return answer;
}

interface Page {
  readonly status: string;
  readonly model_name: string;
  readonly model_version: string;
  readonly predictions: readonly unknown[];
  readonly next_cursor: string | null;
}

/** As much as the API gives at once. */
const pageRowsMax = 10_000;

/** All pages as one document, of which one page is in memory at a time. */
async function* joinedPages(api: ApiClient, id: string, wish: ResultsWish): AsyncGenerator<Buffer> {
  let cursor: string | null = '0';
  for (let isFirst = true; cursor !== null; isFirst = false) {
    const path = batchPath(id, `/results?limit=${pageRowsMax}&cursor=${cursor}`);
    // A page names the one after it.
    // oxlint-disable-next-line no-await-in-loop
    const { predictions, next_cursor: next, ...head }: Page = await api.json({ method: 'GET', path });
    wish.onStatus(head.status);
    if (isFirst) yield Buffer.from(`${JSON.stringify(head).slice(0, -1)},"predictions":[`);
    // While the batch goes on an empty page says: not yet.
    if (predictions.length === 0) break;
    yield Buffer.from(`${isFirst ? '' : ',\n'}${predictions.map((row) => JSON.stringify(row)).join(',\n')}`);
    cursor = next;
  }
  yield Buffer.from(']}\n');
}

async function* whole(answer: IncomingMessage): AsyncGenerator<Buffer> {
  try {
    yield* answer as AsyncIterable<Buffer>;
  } catch (error) {
    throw new UnreachableError(
      `The results broke off (${(error as Error).message}): what was written is incomplete`,
    );
  }
}

/** Pieces that end with a line; what follows the last line of a stream that breaks is dropped. */
async function* wholeLines(
  answer: IncomingMessage,
  signal: AbortSignal,
): AsyncGenerator<Buffer, 'ended' | 'broken'> {
  let rest: Buffer[] = [];
  try {
    for await (const chunk of answer as AsyncIterable<Buffer>) {
      const end = chunk.lastIndexOf(newline) + 1;
      if (end > 0) {
        yield Buffer.concat([...rest, chunk.subarray(0, end)]);
        rest = [];
      }
      if (end < chunk.length) rest.push(chunk.subarray(end));
    }
  } catch (error) {
    if (signal.aborted) throw error;
    return 'broken';
  }
  return 'ended';
}

/**
 * The row after the last line of a piece. Rows are not counted: of a batch that was cancelled those that never ran are
 * left out. Throws UnreachableError for a line that says no row.
 */
function rowAfter(lines: Buffer): number {
  const lastLine = lines.toString('utf8', lines.lastIndexOf(newline, -2) + 1);
  const { row } = parseRow(lastLine);
  if (typeof row !== 'number') throw new UnreachableError('A line of the results says not which row it is');
  return row + 1;
}

function parseRow(line: string): { readonly row?: unknown } {
  try {
    return JSON.parse(line) as { readonly row?: unknown };
  } catch {
    return {};
  }
}
