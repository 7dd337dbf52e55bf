import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { channels } from '../channels.ts';
import type { FaultEvent, NoticeEvent } from '../channels.ts';
import { createLifecycle, installSignals } from '../lifecycle.ts';
import type { Lifecycle } from '../lifecycle.ts';
import { createRedisCostCurves } from '../queues/batch/cost-curves.ts';
import { createRedisDeadLetters } from '../queues/batch/redis-dead-letters.ts';
import { createRedisKeys } from '../queues/lanes.ts';
import { MemoryGuard } from '../queues/memory-guard.ts';
import { createSharedClock } from '../queues/shared-clock.ts';
import { createRedis } from '../redis.ts';
import type { RedisRole } from '../redis.ts';
import { openEmbeddedStores } from '../registry/embedded.ts';
import { RedisRegistryChanges } from '../registry/redis-registry-changes.ts';
import { createResolver } from '../registry/resolver.ts';
import { redisUrlFromRunFile } from '../run-file.ts';
import { loadSettings } from '../settings.ts';
import type { LoadedSettings, Settings } from '../settings.ts';
import { startLogger } from '../telemetry/logger.ts';
import { startMetrics } from '../telemetry/metrics.ts';
import { startAdminServer } from '../telemetry/server.ts';
import { Admission } from './admission.ts';
import { startBatches } from './batch/start-batches.ts';
import { ClientAddress } from './client-address.ts';
import { Credentials } from './credentials.ts';
import { DataPlane } from './data-plane.ts';
import { EngineLink } from './engine-link.ts';
import { healthProbes } from './health-probes.ts';
import { Health } from './health.ts';
import { createApp } from './http/app.ts';
import { BodyReader } from './http/body-reader.ts';
import { CallerCheck } from './http/caller-check.ts';
import { Dispatcher } from './http/dispatcher.ts';
import { HttpServer } from './http/http-server.ts';
import type { RouteTable } from './http/route-table.ts';
import { createRouteTable } from './http/routes.ts';
import type { BatchRoutes } from './http/routes.ts';
import { startIdempotency } from './idempotency/start-idempotency.ts';
import { joinBatches } from './join-batches.ts';
import { joinQueues, queueOptions } from './join-queues.ts';
import type { KeyStore } from './keys/key-store.ts';
import { SqliteKeyStore } from './keys/sqlite-key-store.ts';
import { createRateLimiter } from './rate-limiter.ts';
import type { RateLimiter } from './rate-limiter.ts';
import { ResponseCache } from './response-cache.ts';
import { Saturation } from './saturation.ts';
import { SharedAnswers } from './shared-answers.ts';
import type { SharedAnswer } from './shared-answers.ts';
import { SingleFlight } from './single-flight.ts';
import { startWebhooks } from './webhooks/start-webhooks.ts';

/** Bodies in memory at once, in times of the largest: 256 MiB by default. */
const bufferedBodyCountMax = 64;
const healthTimeoutMs = 500;
const healthCacheMs = 1000;
const engineRetryMs = 500;
/** Left of the grace for what is stopped after the server. */
const stopMarginMs = 500;

type Connections = Awaited<ReturnType<typeof connect>>;
type Parts = Awaited<ReturnType<typeof startParts>>;
type Readiness = () => Readonly<Record<string, boolean>>;

/** Apart: an upload may go on for hours, and would hold the place of a prediction for as long. */
interface Permits {
  readonly predictions: Admission;
  readonly uploads: Admission;
}

async function start(loaded: LoadedSettings, lifecycle: Lifecycle): Promise<void> {
  const { settings } = loaded;
  const parts = await startParts(loaded, lifecycle);
  const saturation = new Saturation({
    utilization: (now, since) => performance.eventLoopUtilization(now, since),
    inFlightMin: settings.api.saturated_in_flight_min,
    delayMsMax: settings.coalescer.queue_delay_ms_max,
  });
  const newAdmission = (): Admission => new Admission(settings.api.in_flight_max, saturation);
  const permits: Permits = { predictions: newAdmission(), uploads: newAdmission() };
  const readiness: Readiness = () => ({
    redis: parts.redis.status === 'ready',
    results: parts.link.engine?.connected() ?? false,
    accepting: !lifecycle.stopping.aborted,
  });
  const limiter = await lifecycle.start(
    'rate limiter',
    () =>
      createRateLimiter({
        redis: parts.redis,
        prefix: settings.redis.prefix,
        processes: settings.rate_limits.api_processes,
      }),
    (each) => each.close(),
  );
  const dispatcher = new Dispatcher({
    table: routeTable(settings, parts, permits, readiness),
    callers: callerCheck(settings, parts.keyStore, limiter),
    headerCountMax: settings.api.header_count_max,
  });
  await startAdmin(lifecycle, settings, { permits, limiter, memory: parts.memory, readiness });
  await serve(lifecycle, settings, dispatcher);
}

/** What holds connections, files and timers, in the order in which each needs the ones before. */
async function startParts(loaded: LoadedSettings, lifecycle: Lifecycle) {
  const { settings } = loaded;
  const home = resolve(settings.home);
  const connections = await connect(lifecycle, settings, redisUrl(loaded, home));
  const { redis, producing, subscriber } = connections;
  const { store, artifacts } = await lifecycle.start(
    'registry',
    () => openEmbeddedStores(home),
    (stores) => stores.close(),
  );
  const resolver = createResolver({
    store,
    changes: new RedisRegistryChanges({ publisher: redis, subscriber, prefix: settings.redis.prefix }),
    pollMs: settings.registry.poll_ms,
  });
  await lifecycle.start(
    'resolver',
    () => resolver.start(),
    () => resolver.stop(),
  );
  const memory = await lifecycle.start(
    'memory guard',
    async () => {
      const guard = new MemoryGuard({ redis, percentMax: settings.queue.memory_percent_max });
      await guard.start();
      return guard;
    },
    (guard) => guard.close(),
  );
  const link = new EngineLink({
    clients: [redis, producing, subscriber],
    connect: () => joinQueues(connections, queueOptions(settings)),
    retryMs: engineRetryMs,
  });
  await lifecycle.start(
    'engine',
    () => link.start(),
    () => link.close(),
  );
  const answers = await shareAnswers(lifecycle, connections, memory, settings);
  const idempotency = await startIdempotency(lifecycle, connections, settings.idempotency);
  const keyFile = join(home, 'keys.db');
  const keyStore = await lifecycle.start(
    'key store',
    () => new SqliteKeyStore(keyFile),
    (each) => each.close(),
  );
  const batches = await startBatches(lifecycle, { ...connections, artifacts }, settings.batch);
  const webhooks = await startWebhooks(lifecycle, { ...connections, ...batches, keyFile }, settings.webhooks);
  const answering = { link, memory, answers, idempotency, batches, webhooks };
  return { ...connections, ...answering, store, resolver, keyStore, stopping: lifecycle.stopping };
}

function routeTable(settings: Settings, parts: Parts, permits: Permits, readiness: Readiness): RouteTable {
  const { redis, store, resolver, link, memory, answers, idempotency } = parts;
  const { api, predict, default_model: defaultModel, environment } = settings;
  const engine = () => link.engine;
  const version = packageVersion();
  const ping = () => redis.ping();
  return createRouteTable({
    version,
    dataPlane: new DataPlane({
      admission: permits.predictions,
      resolver,
      engine,
      answers,
      memory,
      defaultModel,
      timeoutMs: predict.timeout_ms,
    }),
    bodyReader: new BodyReader({
      bytesMax: api.body_bytes_max,
      depthMax: api.json_depth_max,
      bufferedBytesMax: bufferedBodyCountMax * api.body_bytes_max,
    }),
    idempotency,
    resolver,
    isFlagged: ({ model, version: name }) =>
      engine()
        ?.presence.all()
        .some(({ flagged }) => flagged.includes(`${model}/${name}`)) ?? false,
    health: new Health({
      version,
      environment,
      timeoutMs: healthTimeoutMs,
      cacheMs: healthCacheMs,
      probes: healthProbes({ ping, engine, resolver, store, defaultModel }),
    }),
    readiness,
    timeoutMsMax: predict.timeout_ms_max,
    batches: batchesOf(settings, parts, permits.uploads),
  });
}

function batchesOf(settings: Settings, parts: Parts, admission: Admission): BatchRoutes {
  const { redis, keys, clock, batches } = parts;
  const { batch } = settings;
  return joinBatches({
    ...parts,
    parts: batches,
    letters: createRedisDeadLetters({ redis, keys, countMax: batch.dead_letters_max }),
    costs: createRedisCostCurves({ redis, keys }),
    admission,
    nowMs: () => clock.nowMs(),
    settings,
  });
}

/** Needs Redis only, not the queue: what was kept is answered also while no worker lives. */
async function shareAnswers(
  lifecycle: Lifecycle,
  { redis, keys }: Connections,
  memory: MemoryGuard,
  { cache }: Settings,
): Promise<SharedAnswers> {
  const flights = await lifecycle.start(
    'single flight',
    () => new SingleFlight<SharedAnswer>(),
    (each) => each.close(),
  );
  return new SharedAnswers({
    cache: new ResponseCache({
      redis,
      redisKey: (key) => keys.cacheEntry(key),
      memory,
      entryBytesMax: cache.entry_bytes_max,
      bytesMax: cache.bytes_max,
      lookupTimeoutMs: cache.lookup_timeout_ms,
    }),
    flights,
    ttlMs: cache.ttl_ms,
  });
}

function redisUrl({ settings, sources }: LoadedSettings, home: string): string {
  const running = sources['redis.url'] === 'default' ? redisUrlFromRunFile(home) : undefined;
  return running ?? settings.redis.url;
}

async function connect(lifecycle: Lifecycle, settings: Settings, url: string) {
  const options = {
    url,
    connectTimeoutMs: settings.redis.connect_timeout_ms,
    commandTimeoutMs: settings.redis.command_timeout_ms,
    retryDelayMsMax: settings.redis.retry_delay_ms_max,
    onError: (role: RedisRole, error: Error) =>
      fault('redis', `The ${role} connection to Redis has failed`, error),
  };
  const client = (role: RedisRole) =>
    lifecycle.start(
      `redis ${role}`,
      () => createRedis(role, options),
      (redis) => redis.disconnect(),
    );
  const redis = await client('command');
  const producing = await client('producer');
  const subscriber = await client('subscriber');
  const blocking = await client('blocking');
  const clock = await lifecycle.start(
    'clock',
    () => createSharedClock({ redis }),
    (each) => each.close(),
  );
  return { redis, producing, subscriber, blocking, clock, keys: createRedisKeys(settings.redis.prefix) };
}

function callerCheck(settings: Settings, keys: KeyStore, limiter: RateLimiter): CallerCheck {
  const { rate_limits: limits, api } = settings;
  return new CallerCheck({
    credentials: new Credentials({ keys, cacheMs: settings.keys.cache_ms, now: Date.now }),
    limiter,
    limits: {
      anonymous: limits.anonymous_per_minute,
      default: limits.default_per_minute,
      sensitive: limits.sensitive_per_minute,
    },
    clientAddress: new ClientAddress(api.trusted_proxies),
  });
}

interface Observed {
  readonly permits: Permits;
  readonly limiter: RateLimiter;
  readonly memory: MemoryGuard;
  readonly readiness: Readiness;
}

async function startAdmin(
  lifecycle: Lifecycle,
  settings: Settings,
  { permits, limiter, memory, readiness }: Observed,
): Promise<void> {
  const metrics = await lifecycle.start(
    'metrics',
    () => startMetrics({ serviceName: 'millrace-api', processMetrics: true }),
    (each) => each.stop(),
  );
  metrics.pull('millrace_requests_in_flight', () => permits.predictions.inFlight + permits.uploads.inFlight);
  metrics.pull('millrace_rate_limits_local', () => Number(limiter.local));
  metrics.pull('millrace_redis_memory_share', () => memory.pressure());
  await lifecycle.start(
    'admin server',
    () =>
      startAdminServer({
        host: settings.api.admin_host,
        port: settings.api.admin_port,
        metrics,
        unreadyReason: () => Object.entries(readiness()).find(([, holds]) => !holds)?.[0],
      }),
    (server) => server.close(),
  );
}

/** Last to start and first to stop: it goes on accepting for a while, so that balancers see that it is leaving. */
async function serve(lifecycle: Lifecycle, settings: Settings, dispatcher: Dispatcher): Promise<void> {
  const { api, host, port, drain_delay_ms: drainDelayMs, shutdown_grace_ms: graceMs } = settings;
  const server = new HttpServer(createApp(dispatcher), {
    headerBytesMax: api.header_bytes_max,
    headersTimeoutMs: api.headers_timeout_ms,
    requestTimeoutMs: api.request_timeout_ms,
    keepAliveTimeoutMs: api.keep_alive_timeout_ms,
  });
  await lifecycle.start(
    'server',
    async () => {
      const actual = await server.listen(host, port);
      notice(`listening on http://${host}:${actual}`);
    },
    async () => {
      dispatcher.drain();
      notice('draining');
      await delay(drainDelayMs);
      await server.close(Math.max(0, graceMs - drainDelayMs - stopMarginMs));
    },
  );
}

function packageVersion(): string {
  const text = readFileSync(new URL('../../package.json', import.meta.url), 'utf8');
  return (JSON.parse(text) as { readonly version: string }).version;
}

function fault(component: string, message: string, error: unknown): void {
  channels.fault.publish({ component, message, error } satisfies FaultEvent);
}

function notice(message: string): void {
  channels.notice.publish({ component: 'api', message } satisfies NoticeEvent);
}

/**
 * A burst makes V8 believe that whatever a request allocates lives long, and from then on it allocates all of it among the
 * old, for good: a third of the CPU time of a hit then went into collecting it (measured: 41 against 27 µs).
 */
const heapFlags = '--no-allocation-site-pretenuring';

async function main(): Promise<void> {
  setFlagsFromString(heapFlags);
  const loaded = loadSettings();
  const { settings, supervised } = loaded;
  const lifecycle = createLifecycle();
  await lifecycle.start(
    'logger',
    () => startLogger({ serviceName: 'millrace-api', level: settings.log.level }),
    (logger) => logger.stop(),
  );
  installSignals(lifecycle, { graceMs: settings.shutdown_grace_ms, supervised });
  try {
    await start(loaded, lifecycle);
  } catch (error) {
    if (lifecycle.stopping.aborted) return;
    fault('api', 'The API could not start', error);
    process.exitCode = 1;
    await lifecycle.stop();
  }
}

try {
  await main();
} catch (error) {
  // Before there is a logger: the settings are wrong.
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}
