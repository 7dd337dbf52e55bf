import { once } from 'node:events';
import type { Redis } from 'ioredis';
import { createRedis } from '../redis.ts';

const probeTimeoutMs = 3_000;

/** Connects once. Resolves with what is wrong, in the driver's words, or `undefined` when Redis answers. */
export async function probeRedis(url: string): Promise<string | undefined> {
  const client = connect(url);
  try {
    await once(client, 'ready', { signal: AbortSignal.timeout(probeTimeoutMs) });
    return undefined;
  } catch (error) {
    return (error as Error).name === 'AbortError' ? 'no answer' : (error as Error).message;
  } finally {
    client.disconnect();
  }
}

/**
 * Ends the Redis of a run that crashed, so that two servers never write to one folder. Its random password makes
 * sure that it is ours. Nothing happens when nobody answers there.
 */
export async function shutDownRedis(url: string): Promise<void> {
  const client = connect(url);
  try {
    await once(client, 'ready', { signal: AbortSignal.timeout(probeTimeoutMs) });
    const closed = once(client, 'close', { signal: AbortSignal.timeout(probeTimeoutMs) });
    // It answers by closing the connection, which is an error to the command.
    client.shutdown('NOSAVE').catch(() => undefined);
    await closed;
  } catch {
    // Nobody there, or somebody else: either way not ours to end.
  } finally {
    client.disconnect();
  }
}

function connect(url: string): Redis {
  return createRedis('command', {
    url,
    connectTimeoutMs: probeTimeoutMs,
    commandTimeoutMs: probeTimeoutMs,
    retryDelayMsMax: probeTimeoutMs,
    onError: () => undefined,
  });
}
