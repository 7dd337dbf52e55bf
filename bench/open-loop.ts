import { spawn } from 'node:child_process';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';

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
  /** Of those that were answered with 200. */
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly p999Ms: number;
  /** Of those that were refused; null when none was. */
  readonly refusedP99Ms: number | null;
}

export interface OpenLoopOptions {
  readonly url: string;
  readonly apiKey: string;
  readonly perSecond: number;
  readonly seconds: number;
  readonly width: number;
}

/** In a process of its own, so that what the bench does meanwhile holds up no arrival. */
export async function openLoop(options: OpenLoopOptions): Promise<OpenLoopResult> {
  const script = fileURLToPath(new URL('arrivals.ts', import.meta.url));
  const child = spawn(process.execPath, [script, JSON.stringify(options)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  return JSON.parse(await text(child.stdout)) as OpenLoopResult;
}
