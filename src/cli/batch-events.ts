import { setTimeout as delay } from 'node:timers/promises';
import type { ApiClient } from './api-client.ts';
import { batchPath, hasEnded } from './batch-object.ts';
import type { BatchObject } from './batch-object.ts';
import { EventParser } from './event-parser.ts';
import type { ServerEvent } from './event-parser.ts';
import { UnreachableError } from './failures.ts';
import { retryDelayMs } from './retry-delay.ts';

/** Streams in a row that broke before they gave an event; each of them had the attempts of the client. */
const brokenStreamsMax = 5;

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
  let lastEventId = '';
  for (let broken = 0; broken < brokenStreamsMax; broken += 1) {
    if (broken > 0) await delay(retryDelayMs(broken, null, Math.random()), undefined, { signal });
    for await (const event of openEvents(api, id, lastEventId, signal)) {
      broken = 0;
      lastEventId = event.lastEventId;
      const batch = JSON.parse(event.data) as BatchObject;
      yield batch;
      if (hasEnded(batch)) return;
    }
    // All events may have been seen already, or the last one lost with the connection.
    const batch = await api.json<BatchObject>({ method: 'GET', path: batchPath(id) });
    yield batch;
    if (hasEnded(batch)) return;
  }
  throw new UnreachableError('The stream of events breaks off time and again');
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
