import { once } from 'node:events';
import { createRedis } from '../redis.ts';

const probeTimeoutMs = 3_000;

/** Connects once. Resolves with what is wrong, in the driver's words, or `undefined` when Redis answers. */
export async function probeRedis(url: string): Promise<string | undefined> {
  const client = createRedis('command', {
    url,
    connectTimeoutMs: probeTimeoutMs,
    commandTimeoutMs: probeTimeoutMs,
    retryDelayMsMax: probeTimeoutMs,
    onError: () => undefined,
  });
  try {
    await once(client, 'ready', { signal: AbortSignal.timeout(probeTimeoutMs) });
    return undefined;
  } catch (error) {
    return (error as Error).name === 'AbortError' ? 'no answer' : (error as Error).message;
  } finally {
    client.disconnect();
  }
}
