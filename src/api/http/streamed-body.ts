import { once } from 'node:events';
import type { ServerResponse } from 'node:http';

/** A client that takes nothing for so long is taken to be gone: it holds what the rest of its answer needs. */
const stalledMs = 60_000;

/**
 * Hands the pieces to the socket, each when there is room for it: whatever the client does, one of them waits in memory
 * beside what the socket holds. Resolves after the last, and early once `signal` aborts. Throws what `pieces` throws.
 */
export async function sendPieces(
  response: ServerResponse,
  pieces: AsyncIterable<string>,
  signal: AbortSignal,
): Promise<void> {
  // The first piece may be long in coming, and the head says already that there is an answer.
  response.flushHeaders();
  for await (const piece of pieces) {
    if (signal.aborted) return;
    if (!response.write(piece)) await drained(response, signal);
  }
}

async function drained(response: ServerResponse, signal: AbortSignal): Promise<void> {
  const timer = setTimeout(() => response.destroy(), stalledMs);
  try {
    await once(response, 'drain', { signal });
  } catch (error) {
    if (!signal.aborted) throw error;
  } finally {
    clearTimeout(timer);
  }
}
