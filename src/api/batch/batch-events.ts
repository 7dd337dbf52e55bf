import { MillraceError } from '../../errors.ts';
import { isFinal } from '../../queues/batch/batch.ts';
import type { BatchRecord } from '../../queues/batch/batch.ts';
import type { BatchFeeds } from './batch-feed.ts';
import { toBatchObject } from './batch-view.ts';
import { FollowedBatch } from './followed-batch.ts';

export interface BatchEventsOptions {
  readonly feeds: BatchFeeds;
  readonly batch: BatchRecord;
  /** The newest revision that the client has seen; 0 for none. */
  readonly seenRevision: number;
  /** The client has left, or the process is stopping. */
  readonly signal: AbortSignal;
  /** Of the shared clock. */
  readonly nowMs: () => number;
  /** So often at least something is written: proxies close what is silent for a minute, some for 30 s. */
  readonly heartbeatMs: number;
}

/** After a break a client comes back so soon; the server may have been restarted meanwhile. */
const reconnectMs = 1000;

/**
 * A batch as server-sent events (WHATWG HTML §9.2): `progress` after each change, as often as the feed tells of them,
 * then one event named for the final status, then the end. The id of an event is the revision of the batch, its data
 * the batch object. Throws `service_unavailable` when the process stops meanwhile: the client's connection is cut and
 * it comes back, to another process.
 */
export async function* batchEvents(options: BatchEventsOptions): AsyncGenerator<string, void> {
  const { feeds, signal, nowMs, heartbeatMs } = options;
  let { batch, seenRevision } = options;
  yield `retry: ${reconnectMs}\n\n`;
  const followed = new FollowedBatch(feeds, batch.id, signal);
  try {
    for (;;) {
      if (isFinal(batch.status)) return yield eventOf(batch.status, batch, nowMs());
      if (batch.revision > seenRevision) {
        seenRevision = batch.revision;
        yield eventOf('progress', batch, nowMs());
      }
      const outcome = await followed.next(heartbeatMs);
      if (outcome.kind === 'changed') batch = outcome.record;
      else if (outcome.kind === 'idle') yield ': still here\n\n';
      else if (outcome.kind === 'gone') throw new MillraceError('not_found', 'The batch is there no more');
      else throw new MillraceError('service_unavailable', 'The answer was broken off');
    }
  } finally {
    followed.end();
  }
}

function eventOf(name: string, batch: BatchRecord, nowMs: number): string {
  const data = JSON.stringify(toBatchObject(batch, nowMs));
  return `id: ${batch.revision}\nevent: ${name}\ndata: ${data}\n\n`;
}
