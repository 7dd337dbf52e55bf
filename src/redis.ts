import { Redis } from 'ioredis';
import type { RedisOptions } from 'ioredis';

/**
 * What a connection is for.
 * - `command`: fails fast: no offline queue, no retry, every command bounded.
 * - `producer`: the same without auto-pipelining, for BullMQ's queues: they define their scripts while a pipeline
 *   may be open, which then lacks them (`pipeline[functionName] is not a function`).
 * - `blocking`: never gives up, as BullMQ's workers need; a socket that is silent for too long is replaced.
 * - `subscriber`: never gives up, re-subscribes by itself; a half-open socket is found by the result receiver.
 */
export type RedisRole = 'command' | 'producer' | 'blocking' | 'subscriber';

export interface RedisConnectionOptions {
  readonly url: string;
  readonly connectTimeoutMs: number;
  readonly commandTimeoutMs: number;
  readonly retryDelayMsMax: number;
  readonly onError: (role: RedisRole, error: Error) => void;
}

/** Longer than BullMQ's drainDelay of 2 s: a blocking read that returns later than this sits on a dead socket. */
const blockingSocketTimeoutMs = 15_000;
const firstRetryDelayMs = 50;
/** A server that reads its file again accepts connections meanwhile. ioredis would ask after a second whether it is done. */
const loadingRetryMs = 100;
/**
 * What a server has to close its half of a connection before the socket is destroyed. ioredis starts the timer anew
 * when a connection is disconnected that is closed already, and then nothing clears it: its own 2 s would hold a
 * process for that long after it has stopped.
 */
const disconnectTimeoutMs = 200;

/** The only place that makes a Redis client. The caller owns it and must `quit` or `disconnect` it. */
export function createRedis(role: RedisRole, options: RedisConnectionOptions): Redis {
  const merged: RedisOptions & { replyMapping: 'legacy' } = {
    ...common(options),
    ...byRole[role](options),
    replyMapping: 'legacy',
  };
  const client = new Redis(options.url, merged);
  client.on('error', (error: Error) => options.onError(role, error));
  return client;
}

function common(options: RedisConnectionOptions): RedisOptions {
  return {
    connectTimeout: options.connectTimeoutMs,
    disconnectTimeout: disconnectTimeoutMs,
    keepAlive: 10_000,
    maxLoadingRetryTime: loadingRetryMs,
    retryStrategy: (attempt) => retryDelay(attempt, options.retryDelayMsMax, Math.random()),
    // A replica that was the master must be left, not retried.
    reconnectOnError: (error): false | 2 => (error.message.startsWith('READONLY') ? 2 : false),
  };
}

const byRole: Record<RedisRole, (options: RedisConnectionOptions) => RedisOptions> = {
  command: (options) => ({ ...failingFast(options), enableAutoPipelining: true }),
  producer: failingFast,
  blocking: () => ({ maxRetriesPerRequest: null, socketTimeout: blockingSocketTimeoutMs }),
  subscriber: () => ({ maxRetriesPerRequest: null, autoResubscribe: true }),
};

function failingFast(options: RedisConnectionOptions): RedisOptions {
  return {
    commandTimeout: options.commandTimeoutMs,
    // With 1, what was on its way when the connection broke would neither be sent again nor fail before its timeout.
    maxRetriesPerRequest: 0,
    enableOfflineQueue: false,
    // Sending a command again after a reconnect could add a job or count a token twice.
    autoResendUnfulfilledCommands: false,
  };
}

/** Doubling from 50 ms to the bound, with up to a quarter of jitter so that a fleet does not return in step. */
export function retryDelay(attempt: number, delayMsMax: number, random: number): number {
  const delay = Math.min(firstRetryDelayMs * 2 ** Math.min(attempt - 1, 20), delayMsMax);
  return Math.round(delay * (0.75 + 0.25 * random));
}
