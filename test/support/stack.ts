import { mkdtemp, mkdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { packageRoot } from '../../src/dev/package-root.ts';
import { until } from '../../src/dev/readiness.ts';
import { readSamples } from '../../src/dev/samples.ts';
import type { Sample } from '../../src/dev/samples.ts';
import { setUp } from '../../src/dev/set-up.ts';
import type { Manifest } from '../../src/registry/manifest.ts';
import { loadSettings } from '../../src/settings.ts';
import { descendantsOf, isAlive } from './processes.ts';
import { freePort } from './redis-server.ts';
import type { TestRedis } from './redis-server.ts';
import { randomPrefix, redisUrl } from './services.ts';
import { startStackProcess } from './stack-process.ts';
import type { StackProcess } from './stack-process.ts';

export interface StackOptions {
  /** Number of API processes. Default 1. */
  readonly apis?: number;
  /** Number of worker processes. Default 1; with 0 nobody waits for one. */
  readonly workers?: number;
  /** `samples`, the default, are those of examples/models. */
  readonly models?: 'samples' | readonly StackModel[];
  /** MILLRACE_* variables for all processes. */
  readonly env?: Readonly<Record<string, string>>;
  /** A Redis that the test may harm. Default: the shared one, with a prefix of the stack's own. */
  readonly redis?: TestRedis;
  /** Default: a temporary folder, removed at the end. */
  readonly home?: string;
}

export interface StackModel {
  /** ONNX file: absolute, or from the root of the package. */
  readonly file: string;
  readonly manifest: Manifest;
}

export interface StackMember extends StackProcess {
  /** Base of /metrics, /livez and /readyz. */
  readonly adminUrl: string;
  /** Resolves once it is ready for work; rejects, with its log, when it ends before. */
  ready(): Promise<void>;
}

export interface StackApi extends StackMember {
  readonly url: string;
}

/** A whole system of real processes, up and ready. */
export interface Stack {
  readonly apis: readonly StackApi[];
  readonly workers: readonly StackMember[];
  /** Of the first API. */
  readonly url: string;
  readonly key: string;
  readonly home: string;
  readonly redisUrl: string;
  readonly redisPrefix: string;
  /** POSTs to the first API, a string or bytes as they are, anything else as JSON. Default path /api/v1/predict. */
  predict(body: unknown, path?: string): Promise<Response>;
  /** One more worker, ready. */
  addWorker(): Promise<StackMember>;
  /** All logs, for the output of a failed test. */
  logs(): string;
  /** Stops APIs, then workers. Throws when one does not stop by itself or leaves a process behind. */
  stop(): Promise<void>;
}

const readyTimeoutMs = 30_000;

export async function startStack(options: StackOptions = {}): Promise<Stack> {
  const home = options.home ?? (await mkdtemp(join(tmpdir(), 'millrace-stack-')));
  await mkdir(home, { recursive: true });
  const { settings } = loadSettings({ MILLRACE_ENVIRONMENT: 'test' });
  const samples = await samplesOf(options.models ?? 'samples');
  const { apiKey } = await setUp({ home, samples, limits: settings.registry });
  const redisPrefix = randomPrefix();
  const url = options.redis?.url ?? redisUrl();
  const env = {
    ...inheritedVariables(),
    MILLRACE_ENVIRONMENT: 'test',
    MILLRACE_HOME: home,
    MILLRACE_REDIS_URL: url,
    MILLRACE_REDIS_PREFIX: redisPrefix,
    NODE_COMPILE_CACHE: join(tmpdir(), 'millrace-test-compile-cache'),
    ...options.env,
  };
  const workers: StackMember[] = [];
  const apis: StackApi[] = [];
  const addWorker = async () => {
    const worker = await startWorker(`worker-${workers.length + 1}`, env);
    workers.push(worker);
    return worker;
  };
  const members = () => [...apis, ...workers];
  const logs = () =>
    members()
      .map(({ name, log }) => `--- ${name}\n${log}`)
      .join('\n');
  const stop = async () => {
    await stopAll(apis, workers);
    if (options.home === undefined) await rm(home, { recursive: true, force: true });
  };
  try {
    for (let n = 0; n < (options.workers ?? 1); n++) await addWorker();
    for (let n = 0; n < (options.apis ?? 1); n++) apis.push(await startApi(`api-${n + 1}`, env));
    await Promise.all(members().map((member) => member.ready()));
    if (workers.length > 0) await Promise.all(apis.map((api) => workersSeen(api)));
  } catch (error) {
    await stop().catch(() => undefined);
    throw new Error(`the stack did not start:\n${logs()}`, { cause: error });
  }
  return {
    apis,
    workers,
    url: apis[0]?.url ?? '',
    key: apiKey,
    home,
    redisUrl: url,
    redisPrefix,
    predict: (body, path = '/api/v1/predict') => post(`${apis[0]?.url}${path}`, body, apiKey),
    addWorker: async () => {
      const worker = await addWorker();
      await worker.ready();
      return worker;
    },
    logs,
    stop,
  };
}

/** For a describe block: started before its tests, stopped after them, its logs shown when one fails. */
export function useStack(options: StackOptions = {}): () => Stack {
  let stack: Stack | undefined;
  before(async function () {
    this.timeout(60_000);
    stack = await startStack(options);
  });
  afterEach(function () {
    if (this.currentTest?.state === 'failed') process.stderr.write(`${stack?.logs()}\n`);
  });
  after(async function () {
    this.timeout(60_000);
    await stack?.stop();
  });
  return () => {
    if (stack === undefined)
      throw new Error('the stack is there once the tests run, not while they are listed');
    return stack;
  };
}

async function samplesOf(models: 'samples' | readonly StackModel[]): Promise<readonly Sample[]> {
  if (models === 'samples') return readSamples();
  return Promise.all(
    models.map(async ({ file, manifest }) => ({
      name: manifest.name,
      bytes: await readFile(resolve(packageRoot, file)),
      manifest,
    })),
  );
}

/** A developer's own MILLRACE_* settings must not change what a test shows. */
function inheritedVariables(): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('MILLRACE_')));
}

async function startWorker(name: string, env: NodeJS.ProcessEnv): Promise<StackMember> {
  const adminPort = await freePort();
  const child = startStackProcess({
    name,
    script: 'src/workers/main.ts',
    env: { MILLRACE_WORKER_ADMIN_PORT: String(adminPort), ...env },
  });
  const adminUrl = `http://127.0.0.1:${adminPort}`;
  return Object.assign(child, { adminUrl, ready: () => whenReady(child, `${adminUrl}/readyz`) });
}

async function startApi(name: string, env: NodeJS.ProcessEnv): Promise<StackApi> {
  const port = await freePort();
  const adminPort = await freePort();
  const child = startStackProcess({
    name,
    script: 'src/api/main.ts',
    env: { ...env, MILLRACE_PORT: String(port), MILLRACE_API_ADMIN_PORT: String(adminPort) },
  });
  const url = `http://127.0.0.1:${port}`;
  const adminUrl = `http://127.0.0.1:${adminPort}`;
  return Object.assign(child, { url, adminUrl, ready: () => whenReady(child, `${url}/readyz`) });
}

async function whenReady(child: StackProcess, url: string): Promise<void> {
  await untilYes(child, async () => (await fetch(url)).status === 200);
}

/** Ready says that it takes requests; only health says whether a worker has been seen. */
async function workersSeen(api: StackApi): Promise<void> {
  await untilYes(api, async () => {
    const health = (await (await fetch(`${api.url}/api/v1/health`)).json()) as HealthBody;
    return health.dependencies['workers']?.status === 'healthy';
  });
}

interface HealthBody {
  readonly dependencies: Readonly<Record<string, { readonly status: string }>>;
}

/** Gives up when the process ends or the time is over. */
async function untilYes(child: StackProcess, question: () => Promise<boolean>): Promise<void> {
  try {
    await until(question, AbortSignal.any([AbortSignal.timeout(readyTimeoutMs), child.ended]));
  } catch (cause) {
    const reason = child.running ? `was not ready within ${readyTimeoutMs} ms` : 'ended before it was ready';
    throw new Error(`${child.name} ${reason}`, { cause });
  }
}

async function post(url: string, body: unknown, key: string): Promise<Response> {
  const raw = typeof body === 'string' || body instanceof Uint8Array;
  return fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'x-api-key': key },
    body: raw ? body : JSON.stringify(body),
  });
}

/** The requests of an API that drains still need a worker. */
async function stopAll(apis: readonly StackApi[], workers: readonly StackMember[]): Promise<void> {
  const all = [...apis, ...workers].filter(({ running }) => running);
  const started = all.flatMap(({ pid }) => [pid, ...descendantsOf(pid)]);
  const ended = [
    ...(await Promise.allSettled(apis.map((api) => api.stop()))),
    ...(await Promise.allSettled(workers.map((worker) => worker.stop()))),
  ];
  const problems = ended
    .filter((outcome) => outcome.status === 'rejected')
    .map(({ reason }) => reason as Error);
  const left = started.filter(isAlive);
  if (left.length > 0) problems.push(new Error(`processes are left behind: ${left.join(', ')}`));
  if (problems.length > 0)
    throw new AggregateError(problems, problems.map(({ message }) => message).join('\n'));
}
