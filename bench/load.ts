import { execFileSync, spawn } from 'node:child_process';
import autocannon from 'autocannon';

/** What one closed-loop run of a load tool measured. */
export interface LoadResult {
  readonly perSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly failed: number;
}

export interface LoadOptions {
  readonly url: string;
  readonly apiKey: string;
  readonly connections: number;
  readonly seconds: number;
  /** Numbers in an instance. */
  readonly width: number;
  /** One fixed body again and again, so that every request but the first is a cache hit. */
  readonly repeat?: boolean;
  /** Asks that nothing be kept, nor taken from what was kept. */
  readonly uncached?: boolean;
}

export type LoadTool = 'wrk' | 'autocannon';

/** wrk where it is installed: it takes less of the two cores than a load tool in JavaScript. */
export function findLoadTool(): LoadTool {
  try {
    execFileSync('wrk', ['--version'], { stdio: 'ignore' });
    return 'wrk';
  } catch (error) {
    // wrk --version exits with 1, but only an absent wrk has no exit code.
    return (error as { status?: number | null }).status === 1 ? 'wrk' : 'autocannon';
  }
}

export function load(tool: LoadTool, options: LoadOptions): Promise<LoadResult> {
  return tool === 'wrk' ? runWrk(options) : runAutocannon(options);
}

interface WrkReport {
  readonly requests: number;
  readonly seconds: number;
  readonly failed: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

async function runWrk(options: LoadOptions): Promise<LoadResult> {
  const script = new URL('./wrk-predict.lua', import.meta.url).pathname;
  const child = spawn(
    'wrk',
    ['-t1', `-c${options.connections}`, `-d${options.seconds}s`, '-s', script, options.url],
    {
      stdio: ['ignore', 'pipe', 'inherit'],
      env: {
        ...process.env,
        MILLRACE_BENCH_KEY: options.apiKey,
        MILLRACE_BENCH_WIDTH: String(options.width),
        MILLRACE_BENCH_REPEAT: options.repeat === true ? '1' : '0',
        MILLRACE_BENCH_UNCACHED: options.uncached === true ? '1' : '0',
      },
    },
  );
  let output = '';
  for await (const chunk of child.stdout) output += String(chunk);
  const line = output.split('\n').find((candidate) => candidate.startsWith('{'));
  if (line === undefined) throw new Error(`wrk printed no report:\n${output}`);
  const report = JSON.parse(line) as WrkReport;
  return {
    perSecond: report.requests / report.seconds,
    p50Ms: report.p50Ms,
    p99Ms: report.p99Ms,
    failed: report.failed,
  };
}

async function runAutocannon(options: LoadOptions): Promise<LoadResult> {
  const fixed = body(options.width, options.uncached);
  const result = await autocannon({
    url: options.url,
    method: 'POST',
    headers: { 'content-type': 'application/json', 'x-api-key': options.apiKey },
    connections: options.connections,
    duration: options.seconds,
    requests: [
      {
        setupRequest: (request) => ({
          ...request,
          body: options.repeat === true ? fixed : body(options.width, options.uncached),
        }),
      },
    ],
  });
  return {
    perSecond: result.requests.total / result.duration,
    p50Ms: result.latency.p50,
    p99Ms: result.latency.p99,
    failed: result.non2xx + result.errors + result.timeouts,
  };
}

/** A request body with `width` random numbers. */
export function body(width: number, uncached = false): string {
  const inputs = Array.from({ length: width }, () => Number((Math.random() * 9).toFixed(4)));
  return JSON.stringify({
    inputs,
    parameters: { return_probability: true, ...(uncached ? { cache: false } : {}) },
  });
}
