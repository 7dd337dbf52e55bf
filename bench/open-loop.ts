import { Agent, request } from 'node:http';
import { body } from './load.ts';
import { quantile } from './statistics.ts';

/**
 * Requests leave at their scheduled instants whether or not earlier ones were answered, and latency counts
 * from the scheduled instant: a server that stalls cannot hide it by slowing the load (coordinated omission).
 */
export interface OpenLoopResult {
  readonly offeredPerSecond: number;
  readonly acceptedPerSecond: number;
  readonly refusedShare: number;
  readonly failed: number;
  readonly withoutRetryAfter: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly p999Ms: number;
}

export interface OpenLoopOptions {
  readonly url: string;
  readonly apiKey: string;
  readonly perSecond: number;
  readonly seconds: number;
  readonly width: number;
}

interface Tally {
  readonly latencies: number[];
  refused: number;
  failed: number;
  withoutRetryAfter: number;
}

/** Sockets of the generator: more than the server is meant to have in flight, so that it never queues here. */
const socketsMax = 2048;

export async function openLoop(options: OpenLoopOptions): Promise<OpenLoopResult> {
  const agent = new Agent({ keepAlive: true, maxSockets: socketsMax });
  const tally: Tally = { latencies: [], refused: 0, failed: 0, withoutRetryAfter: 0 };
  const total = Math.round(options.perSecond * options.seconds);
  const started = performance.now();
  const answers: Promise<void>[] = [];
  let sent = 0;
  await new Promise<void>((resolve) => {
    const tick = (): void => {
      const due = Math.min(total, Math.floor(((performance.now() - started) / 1000) * options.perSecond));
      for (; sent < due; sent += 1) {
        answers.push(send(agent, options, started + (sent / options.perSecond) * 1000, tally));
      }
      if (sent < total) setImmediate(tick);
      else resolve();
    };
    tick();
  });
  await Promise.all(answers);
  agent.destroy();
  return summarise(tally, total, options);
}

function send(agent: Agent, options: OpenLoopOptions, scheduledAt: number, tally: Tally): Promise<void> {
  return new Promise((resolve) => {
    const payload = body(options.width);
    const headers = {
      'content-type': 'application/json',
      'content-length': payload.length,
      'x-api-key': options.apiKey,
    };
    const outgoing = request(options.url, { agent, method: 'POST', headers }, (incoming) => {
      incoming.resume();
      incoming.once('close', () => {
        if (incoming.statusCode === 200) tally.latencies.push(performance.now() - scheduledAt);
        else if (incoming.statusCode === 503) {
          tally.refused += 1;
          if (incoming.headers['retry-after'] === undefined) tally.withoutRetryAfter += 1;
        } else tally.failed += 1;
        resolve();
      });
    });
    outgoing.once('error', () => {
      tally.failed += 1;
      resolve();
    });
    outgoing.end(payload);
  });
}

function summarise(tally: Tally, total: number, options: OpenLoopOptions): OpenLoopResult {
  const sorted = tally.latencies.toSorted((a, b) => a - b);
  return {
    offeredPerSecond: options.perSecond,
    acceptedPerSecond: sorted.length / options.seconds,
    refusedShare: tally.refused / total,
    failed: tally.failed,
    withoutRetryAfter: tally.withoutRetryAfter,
    p50Ms: quantile(sorted, 0.5),
    p99Ms: quantile(sorted, 0.99),
    p999Ms: quantile(sorted, 0.999),
  };
}
