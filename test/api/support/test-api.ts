import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Admission } from '../../../src/api/admission.ts';
import { ClientAddress } from '../../../src/api/client-address.ts';
import { Credentials } from '../../../src/api/credentials.ts';
import { DataPlane } from '../../../src/api/data-plane.ts';
import type { HealthProbe } from '../../../src/api/health.ts';
import { Health } from '../../../src/api/health.ts';
import { createApp } from '../../../src/api/http/app.ts';
import { BodyReader } from '../../../src/api/http/body-reader.ts';
import { CallerCheck } from '../../../src/api/http/caller-check.ts';
import { Dispatcher } from '../../../src/api/http/dispatcher.ts';
import { HttpServer } from '../../../src/api/http/http-server.ts';
import type { HttpServerOptions } from '../../../src/api/http/http-server.ts';
import { createRouteTable } from '../../../src/api/http/routes.ts';
import type { BatchRoutes } from '../../../src/api/http/routes.ts';
import { RouteTable } from '../../../src/api/http/route-table.ts';
import type { Route } from '../../../src/api/http/route-table.ts';
import type { Idempotency } from '../../../src/api/idempotency/idempotency.ts';
import { issueKey } from '../../../src/api/keys/issue-key.ts';
import type { KeyStore } from '../../../src/api/keys/key-store.ts';
import type { Scope } from '../../../src/api/keys/scopes.ts';
import { SqliteKeyStore } from '../../../src/api/keys/sqlite-key-store.ts';
import type { RateLedger } from '../../../src/api/rate-ledger.ts';
import { RateLimiter } from '../../../src/api/rate-limiter.ts';
import type { RateClass } from '../../../src/api/rate-limiter.ts';
import { SharedAnswers } from '../../../src/api/shared-answers.ts';
import { SingleFlight } from '../../../src/api/single-flight.ts';
import { MillraceError } from '../../../src/errors.ts';
import type { WorkerHeartbeat } from '../../../src/queues/worker-presence.ts';
import type { ModelVersion } from '../../../src/registry/model-version.ts';
import { Resolver } from '../../../src/registry/resolver.ts';
import { SqliteStore } from '../../../src/registry/sqlite-store.ts';
import { penguinsVersion, regressionVersion, wineVersion } from '../../support/builders.ts';
import { AnsweringCoalescer } from './answering-coalescer.ts';

export interface TestApiOptions {
  readonly versions?: readonly ModelVersion[];
  readonly inFlightMax?: number;
  readonly bytesMax?: number;
  readonly bufferedBytesMax?: number;
  /** Default 0: every request is computed. */
  readonly ttlMs?: number;
  readonly server?: Partial<HttpServerOptions>;
  readonly probes?: readonly HealthProbe[];
  /** No limits by default. */
  readonly limits?: Readonly<Record<RateClass, number>>;
  readonly ledger?: Pick<RateLedger, 'lease'>;
  readonly trustedProxies?: string;
  /** Default: Redis is out of reach. */
  readonly idempotency?: Pick<Idempotency, 'around'>;
  /** Default: there are none, and a predict that may be answered later is answered now. */
  readonly batches?: BatchRoutes;
  /** Beside those of the API. */
  readonly routes?: readonly Route[];
}

/** The API on a real socket, with its real stores, and an answering coalescer in place of queue and workers. */
export interface TestApi {
  readonly port: number;
  readonly url: string;
  /** With all of the scopes. */
  readonly key: string;
  readonly server: HttpServer;
  readonly dispatcher: Dispatcher;
  readonly table: RouteTable;
  readonly admission: Admission;
  readonly coalescer: AnsweringCoalescer;
  readonly keys: KeyStore;
  /** What the presence observer shows; one idle worker at first. */
  workers: WorkerHeartbeat[];
  /** False: as if Redis had never been reached. */
  connected: boolean;
  keyWith(scopes: readonly Scope[], ratePerMinute?: number | null): Promise<string>;
  request(path: string, init?: TestRequest): Promise<Response>;
  /** POSTs to predict, a string as it is, anything else as JSON. */
  predict(body: unknown, path?: string): Promise<Response>;
  close(): Promise<void>;
}

export interface TestRequest {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Uint8Array | ReadableStream;
  /** Of a body that is a stream. */
  readonly duplex?: 'half';
  readonly signal?: AbortSignal;
}

export const sampleWorker: WorkerHeartbeat = {
  workerId: 'worker-1',
  pool: 'default',
  loaded: [],
  hostCount: 1,
  busyHostCount: 0,
  flagged: [],
  draining: false,
  sentAtMs: 0,
};

const defaultServer: HttpServerOptions = {
  headerBytesMax: 16_384,
  headersTimeoutMs: 10_000,
  requestTimeoutMs: 30_000,
  keepAliveTimeoutMs: 65_000,
};
const farAwayMs = 3_600_000;
const withoutRedis = { around: () => Promise.reject(new MillraceError('service_unavailable')) };
const withoutBatches: BatchRoutes = { routes: [], later: () => () => undefined };
const noCache = { lookup: async () => ({ kind: 'bypass' }) as const, insert: () => undefined };
const unsaturated = { limit: () => Number.POSITIVE_INFINITY, answered: () => undefined };

export async function startTestApi(options: TestApiOptions = {}): Promise<TestApi> {
  const home = await mkdtemp(join(tmpdir(), 'millrace-api-'));
  const store = new SqliteStore(join(home, 'registry.db'));
  for (const version of options.versions ?? [wineVersion(), penguinsVersion(), regressionVersion()])
    await store.putVersion(version);
  const resolver = new Resolver({ store, changes: null, pollMs: farAwayMs });
  await resolver.start();
  const keys = new SqliteKeyStore(join(home, 'keys.db'));
  const keyWith = async (scopes: readonly Scope[], ratePerMinute: number | null = null) => {
    const request = { name: 'test', scopes, environment: 'test', ratePerMinute, expiresAtMs: null };
    return (await issueKey(keys, request, Date.now())).key;
  };
  const coalescer = new AnsweringCoalescer();
  const admission = new Admission(options.inFlightMax ?? 64, unsaturated);
  const bytesMax = options.bytesMax ?? 65_536;
  const ours = createRouteTable({
    version: '1.2.3',
    dataPlane: new DataPlane({
      admission,
      resolver,
      engine: () => (api.connected ? { coalescer, presence, clock: { nowMs: () => Date.now() } } : undefined),
      answers: new SharedAnswers({ cache: noCache, flights: new SingleFlight(), ttlMs: options.ttlMs ?? 0 }),
      memory: { admit: () => undefined },
      defaultModel: 'wine',
      timeoutMs: 2000,
    }),
    bodyReader: new BodyReader({
      bytesMax,
      depthMax: 32,
      bufferedBytesMax: options.bufferedBytesMax ?? 64 * bytesMax,
    }),
    idempotency: options.idempotency ?? withoutRedis,
    resolver,
    isFlagged: ({ model, version }) =>
      presence.all().some(({ flagged }) => flagged.includes(`${model}/${version}`)),
    health: new Health({
      version: '1.2.3',
      environment: 'test',
      probes: options.probes ?? [{ name: 'redis', required: true, check: async () => null }],
      timeoutMs: 500,
      cacheMs: 1000,
    }),
    readiness: () => ({ redis: api.connected, accepting: true }),
    timeoutMsMax: 60_000,
    batches: options.batches ?? withoutBatches,
  });
  const table = options.routes === undefined ? ours : new RouteTable([...ours.routes, ...options.routes]);
  const presence = {
    isServed: (pool: string) => api.workers.some((worker) => worker.pool === pool && !worker.draining),
    all: () => api.workers,
    close: async () => {},
  };
  const limiter = new RateLimiter({
    ledger: options.ledger ?? { lease: () => Promise.reject(new Error('there is no Redis')) },
    processes: 1,
    windowMs: 60_000,
    now: () => performance.now(),
  });
  const callers = new CallerCheck({
    credentials: new Credentials({ keys, cacheMs: 5000, now: Date.now }),
    limiter,
    limits: options.limits ?? { anonymous: 0, default: 0, sensitive: 0 },
    clientAddress: new ClientAddress(options.trustedProxies ?? 'none'),
  });
  const dispatcher = new Dispatcher({ table, callers, headerCountMax: 100 });
  const server = new HttpServer(createApp(dispatcher), { ...defaultServer, ...options.server });
  const port = await server.listen('127.0.0.1', 0);
  const key = await keyWith(['admin']);
  const api: TestApi = {
    port,
    url: `http://127.0.0.1:${port}`,
    key,
    server,
    dispatcher,
    table,
    admission,
    coalescer,
    keys,
    workers: [sampleWorker],
    connected: true,
    keyWith,
    request: (path, init = {}) =>
      fetch(`http://127.0.0.1:${port}${path}`, { ...init, headers: { 'x-api-key': key, ...init.headers } }),
    predict: (body, path = '/api/v1/predict') =>
      api.request(path, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: typeof body === 'string' ? body : JSON.stringify(body),
      }),
    close: async () => {
      await server.close(0);
      await limiter.close();
      await resolver.stop();
      await store.close();
      await keys.close();
      await rm(home, { recursive: true, force: true });
    },
  };
  return api;
}

/** For a describe block: started before its tests, stopped after them. */
export function useTestApi(options: TestApiOptions = {}): () => TestApi {
  let api: TestApi | undefined;
  before(async () => {
    api = await startTestApi(options);
  });
  after(() => api?.close());
  return () => {
    if (api === undefined) throw new Error('the API is there once the tests run');
    return api;
  };
}
