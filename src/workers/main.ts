import { getCompileCacheDir } from 'node:module';
import { fileURLToPath } from 'node:url';
import { setFlagsFromString } from 'node:v8';
import { ulid } from 'ulid';
import { channels } from '../channels.ts';
import type { FaultEvent, NoticeEvent } from '../channels.ts';
import { createLifecycle, installSignals } from '../lifecycle.ts';
import { BatchSweeper } from '../queues/batch/batch-sweeper.ts';
import { BulkFeeder } from '../queues/batch/bulk-feeder.ts';
import { createBullmqBulkConsumer, createBullmqBulkLane } from '../queues/batch/bullmq-bulk-lane.ts';
import { createRedisCostCurves } from '../queues/batch/cost-curves.ts';
import { createRedisBatchLedger } from '../queues/batch/redis-batch-ledger.ts';
import { createChunkStore } from '../queues/batch/redis-chunk-store.ts';
import { createRedisDeadLetters } from '../queues/batch/redis-dead-letters.ts';
import { createBullmqConsumer } from '../queues/bullmq-consumer.ts';
import { createRedisKeys } from '../queues/lanes.ts';
import { createRedisPresenceAnnouncer } from '../queues/redis-presence.ts';
import { createRedisResultPublisher } from '../queues/redis-result-publisher.ts';
import { createSharedClock } from '../queues/shared-clock.ts';
import { createRedis } from '../redis.ts';
import type { RedisRole } from '../redis.ts';
import { openEmbeddedStores } from '../registry/embedded.ts';
import { RedisRegistryChanges } from '../registry/redis-registry-changes.ts';
import { createResolver } from '../registry/resolver.ts';
import { redisUrlFromRunFile } from '../run-file.ts';
import { loadSettings } from '../settings.ts';
import { startLogger } from '../telemetry/logger.ts';
import { startMetrics } from '../telemetry/metrics.ts';
import { startAdminServer } from '../telemetry/server.ts';
import { ChunkRunner } from './bulk/chunk-runner.ts';
import { CurveMeter } from './bulk/curve-meter.ts';
import { RunCosts } from './bulk/run-costs.ts';
import { usableCores } from './cpu-quota.ts';
import { Heartbeat } from './heartbeat.ts';
import { HostPool } from './host-pool.ts';
import { ModelPool } from './model-pool.ts';
import { preload, preloadOrder } from './preload.ts';
import { Quarantine } from './quarantine.ts';
import { VersionFaults } from './version-faults.ts';
import { Worker } from './worker.ts';

/**
 * Chunks and results of megabytes come and go outside of V8's heap, and by itself V8 collects the whole heap for every
 * 20 MB of them: 36 pauses of 10 ms in 300 MB of chunks, 7 with this (measured), in which no prediction moves.
 */
setFlagsFromString('--external-memory-accounted-in-global-limit');

const serviceName = 'millrace-worker';
const workerId = `worker-${ulid()}`;
const { settings, sources, supervised } = loadSettings();
const { pool } = settings.worker;

/** Jobs in hand get most of the grace, hosts and connections the rest. */
const drainMs = settings.shutdown_grace_ms * 0.8;
const hostStopMs = settings.shutdown_grace_ms * 0.1;
/** A bare host is up in 0.1 s; on a machine that is short of everything it may take long. */
const hostStartTimeoutMs = 30_000;
/** A host apart costs the memory of a process and one version: it goes when nothing needed it for a minute. */
const quarantineIdleMs = 60_000;
/** Its deaths are what it is for, and the neighbours of a killer wait for it; yet a flood of killers must not spin. */
const quarantineRestartDelayMsMax = 200;
/** `worker.bulk_concurrency: 0`: one chunk runs while another is fetched or settled. */
const bulkChunksPerHost = 2;

/** Hosts inherit nothing of the environment: no secrets. Compiled code is kept where this process keeps its own. */
const compileCache = getCompileCacheDir();
const hostEnv: Readonly<Record<string, string>> =
  compileCache === undefined ? {} : { NODE_COMPILE_CACHE: compileCache };

const lifecycle = createLifecycle();
await lifecycle.start(
  'logger',
  () => startLogger({ serviceName, level: settings.log.level }),
  (logger) => logger.stop(),
);
installSignals(lifecycle, { graceMs: settings.shutdown_grace_ms, supervised });
const metrics = await lifecycle.start(
  'metrics',
  () => startMetrics({ serviceName, processMetrics: true }),
  (started) => started.stop(),
);

const keys = createRedisKeys(settings.redis.prefix);
const redisUrl =
  sources['redis.url'] === 'default'
    ? (redisUrlFromRunFile(settings.home) ?? settings.redis.url)
    : settings.redis.url;
const connect = (role: RedisRole): ReturnType<typeof createRedis> =>
  createRedis(role, {
    url: redisUrl,
    connectTimeoutMs: settings.redis.connect_timeout_ms,
    commandTimeoutMs: settings.redis.command_timeout_ms,
    retryDelayMsMax: settings.redis.retry_delay_ms_max,
    onError: (_, error) => fault('redis', `Redis (${role}): ${error.message}`),
  });
const [redis, blocking, subscriber, producing] = await lifecycle.start(
  'redis',
  () => [connect('command'), connect('blocking'), connect('subscriber'), connect('producer')] as const,
  (clients) => {
    for (const client of clients) client.disconnect();
  },
);
const clock = await lifecycle.start(
  'clock',
  () => createSharedClock({ redis }),
  (started) => started.close(),
);

const stores = await lifecycle.start(
  'registry',
  () => openEmbeddedStores(settings.home),
  (opened) => opened.close(),
);
const changes = new RedisRegistryChanges({ publisher: redis, subscriber, prefix: settings.redis.prefix });
const versions = await lifecycle.start(
  'resolver',
  async () => {
    const resolver = createResolver({ store: stores.store, changes, pollMs: settings.registry.poll_ms });
    await resolver.start();
    return resolver;
  },
  (resolver) => resolver.stop(),
);

const nowMs = (): number => clock.nowMs();
function openHosts(name: string, hostCount: number, restartDelayMsMax: number): HostPool {
  const opened = new HostPool({
    name,
    hostCount,
    hostEntry: fileURLToPath(new URL('./host/main.ts', import.meta.url)),
    hostEnv,
    startTimeoutMs: hostStartTimeoutMs,
    loadTimeoutMs: settings.worker.load_timeout_ms,
    runTimeoutMs: settings.worker.run_timeout_ms,
    hungGraceMs: settings.worker.hung_grace_ms,
    restartDelayMsMax,
    bulkSharePercentMin: settings.worker.bulk_share_percent_min,
    nowMs,
  });
  opened.start();
  return opened;
}
const hosts = await lifecycle.start(
  'hosts',
  () =>
    openHosts(
      'host',
      settings.worker.hosts === 0 ? usableCores() : settings.worker.hosts,
      settings.worker.host_restart_delay_ms_max,
    ),
  (started) => started.close(hostStopMs),
);
const openQuarantine = (name: string): Promise<Quarantine> =>
  lifecycle.start(
    name,
    () =>
      new Quarantine({
        openHosts: () => openHosts(name, 1, quarantineRestartDelayMsMax),
        idleMs: quarantineIdleMs,
        stopMs: hostStopMs,
        nowMs,
      }),
    (started) => started.close(),
  );
const quarantine = await openQuarantine('quarantine');
/** Its own: a row of a batch may hang there for `worker.run_timeout_ms`, for which no prediction can wait. */
const bulkQuarantine = await openQuarantine('bulk-quarantine');
const faults = new VersionFaults(() => performance.now());
const models = new ModelPool({
  hosts,
  artifacts: stores.artifacts,
  loadedBytesMax: settings.worker.loaded_bytes_max,
  loadTimeoutMs: settings.worker.load_timeout_ms,
  intraOpThreads: settings.worker.run_threads,
  onLoaded: (version) => void curveMeter.measure(version),
});
const runCosts = new RunCosts({
  curves: createRedisCostCurves({ redis, keys }),
  nowMs: () => performance.now(),
});
const curveMeter = new CurveMeter({
  hosts,
  models,
  costs: runCosts,
  runMsTarget: settings.batch.run_ms_target,
  runRowsMax: settings.batch.run_rows_max,
  nowMs,
  stopping: lifecycle.stopping,
});

let isConsuming = false;
await lifecycle.start(
  'admin server',
  () =>
    startAdminServer({
      host: settings.worker.admin_host,
      port: settings.worker.admin_port,
      metrics,
      unreadyReason: () => {
        if (lifecycle.stopping.aborted) return 'draining';
        if (redis.status !== 'ready') return 'redis';
        if (hosts.servingHostCount === 0) return 'hosts';
        return isConsuming ? undefined : 'starting';
      },
    }),
  (server) => server.close(),
);

const heartbeat = await lifecycle.start(
  'heartbeat',
  () =>
    new Heartbeat({
      announcer: createRedisPresenceAnnouncer({ redis, keys, ttlMs: settings.worker.presence_ttl_ms }),
      intervalMs: settings.worker.heartbeat_ms,
      describe: () => ({
        workerId,
        pool,
        loaded: models.loadedNames,
        flagged: faults.flagged,
        hostCount: hosts.hostCount,
        busyHostCount: hosts.busyHostCount,
        draining: lifecycle.stopping.aborted,
        sentAtMs: nowMs(),
      }),
    }),
  (started) => started.withdraw(),
);

const publisher = createRedisResultPublisher({
  redis,
  keys,
  keptMax: settings.results.kept_max,
  ttlMs: settings.results.ttl_ms,
  inlineBytesMax: settings.results.inline_bytes_max,
});
const worker = new Worker({
  workerId,
  hosts,
  quarantine,
  faults,
  models,
  versions,
  publisher,
  batchRowsMax: settings.coalescer.batch_rows_max,
  nowMs,
});
const ledger = createRedisBatchLedger({ redis, keys, uploadLeaseMs: settings.batch.upload_lease_ms });
const chunks = createChunkStore({
  redis,
  keys,
  artifacts: stores.artifacts,
  redisBytesMax: settings.batch.redis_bytes_max,
});
const bulkLane = await lifecycle.start(
  'bulk lane',
  () =>
    createBullmqBulkLane({
      redis: producing,
      keys,
      eventsKeptMax: settings.queue.events_kept_max,
      attempts: settings.batch.attempts,
    }),
  (lane) => lane.close(),
);
const feeder = await lifecycle.start(
  'bulk feeder',
  () => new BulkFeeder({ ledger, lane: bulkLane, window: settings.batch.window_chunks }),
  (started) => started.close(),
);
await lifecycle.start(
  'batch sweeper',
  () => {
    const { sweep_ms: sweepMs } = settings.batch;
    const sweeper = new BatchSweeper({ ledger, lane: bulkLane, feeder, chunks, redis, keys, sweepMs });
    sweeper.start();
    return sweeper;
  },
  (sweeper) => sweeper.stop(),
);
const chunkRunner = new ChunkRunner({
  hosts,
  quarantine: bulkQuarantine,
  faults,
  models,
  versions,
  ledger,
  chunks,
  deadLetters: createRedisDeadLetters({ redis, keys, countMax: settings.batch.dead_letters_max }),
  feed: () => feeder.feed(pool),
  costs: runCosts,
  runMsTarget: settings.batch.run_ms_target,
  runRowsMax: settings.batch.run_rows_max,
  nowMs,
});

const lane = {
  connection: blocking,
  keys,
  pool,
  lockMs: settings.queue.lock_ms,
  stalledIntervalMs: settings.queue.stalled_interval_ms,
};
const { online_concurrency: onlineConcurrency, bulk_concurrency: bulkConcurrency } = settings.worker;
const consumers = await lifecycle.start(
  'consumers',
  () => ({
    online: createBullmqConsumer({ ...lane, redis, concurrency: onlineConcurrency, publisher, workerId }),
    bulk: createBullmqBulkConsumer({
      ...lane,
      concurrency: bulkConcurrency === 0 ? bulkChunksPerHost * hosts.hostCount : bulkConcurrency,
      backoffMs: settings.batch.backoff_ms,
      backoffMsMax: settings.batch.backoff_ms_max,
    }),
  }),
  async (started) => {
    // With nothing in hand there is nothing to wait for; a lane that is out of reach would only find out late.
    const isIdle = worker.inHandCount === 0 && chunkRunner.inHandCount === 0;
    const graceMs = redis.status !== 'ready' && isIdle ? 0 : drainMs;
    await Promise.all(Object.values(started).map((consumer) => consumer.drain(graceMs)));
    await Promise.all(Object.values(started).map((consumer) => consumer.close()));
  },
);

lifecycle.stopping.addEventListener('abort', () => heartbeat.beat());
// After an outage nobody knows of this worker any more.
redis.on('ready', () => heartbeat.beat());
const preloadAll = (): Promise<void> =>
  preload(preloadOrder(versions.models(), pool, settings.default_model), models, lifecycle.stopping);

/** Apart from the rest: hosts or Redis may take their time, and the process must be stoppable meanwhile. */
async function beginWork(): Promise<void> {
  await hosts.serving();
  await preloadAll();
  versions.onChange(() => void preloadAll());
  if (lifecycle.stopping.aborted) return;
  await consumers.online.start((taken) => worker.run(taken));
  if (lifecycle.stopping.aborted) return;
  await consumers.bulk.start((taken) => chunkRunner.run(taken));
  isConsuming = true;
  if (lifecycle.stopping.aborted) return;
  heartbeat.start();
  const fields = { worker_id: workerId, pool, hosts: hosts.hostCount, loaded: models.loadedNames };
  channels.notice.publish({ component: 'worker', message: 'ready', fields } satisfies NoticeEvent);
}

beginWork().catch((error: unknown) => {
  if (!lifecycle.stopping.aborted) fault('worker', 'The worker could not begin its work', error);
});

function fault(component: string, message: string, error?: unknown): void {
  channels.fault.publish({ component, message, error } satisfies FaultEvent);
}
