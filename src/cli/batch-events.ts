import type { ApiClient } from './api-client.ts';
import { batchPath, hasEnded } from './batch-object.ts';
import type { BatchObject } from './batch-object.ts';
import { EventParser } from './event-parser.ts';
import type { ServerEvent } from './event-parser.ts';
import { UnreachableError } from './failures.ts';
import { Reconnection } from './reconnection.ts';

/**
 * A batch, each time that it has changed, until it has ended; the last one has ended. A stream that breaks is opened
 * again after the last event that came (`Last-Event-ID`). Throws RefusedError, or UnreachableError once the
 * server stays away.
 */
export async function* followBatch(
  api: ApiClient,
  id: string,
  signal: AbortSignal,
): AsyncGenerator<BatchObject> {
  const reconnection = new Reconnection('The stream of events', signal);
  let lastEventId = '';
  for (;;) {
    reconnection.opened();
    for await (const event of openEvents(api, id, lastEventId, signal)) {
      reconnection.progressed();
      lastEventId = event.lastEventId;
      const batch = parseBatch(event.data);
      yield batch;
      if (hasEnded(batch)) return;
    }
    // All events may have been seen already, or the last one lost with the connection.
    // oxlint-disable-next-line no-await-in-loop
    const batch = await api.json<BatchObject>({ method: 'GET', path: batchPath(id) });
    yield batch;
    if (hasEnded(batch)) return;
    // oxlint-disable-next-line no-await-in-loop
    await reconnection.afterBreak();
  }
}

/** Ends when the stream ends or breaks. */
async function* openEvents(
  api: ApiClient,
  id: string,
  lastEventId: string,
  signal: AbortSignal,
): AsyncGenerator<ServerEvent> {
  const answer = await api.open({
    method: 'GET',
    path: batchPath(id, '/events'),
    headers: { accept: 'text/event-stream', ...(lastEventId === '' ? {} : { 'last-event-id': lastEventId }) },
  });
  const parser = new EventParser();
  answer.setEncoding('utf8');
  try {
    for await (const text of answer as AsyncIterable<string>) yield* parser.push(text);
  } catch (error) {
    if (signal.aborted) throw error;
  }
}

function parseBatch(text: string): BatchObject {
  try {
    return JSON.parse(text) as BatchObject;
  } catch {
    throw new UnreachableError('The stream of events holds something that is no batch');
  }
}
