import type { Channel, ChannelListener } from 'node:diagnostics_channel';
import { Registry, collectDefaultMetrics } from 'prom-client';
import type { Metric } from 'prom-client';
import { channels } from '../channels.ts';
import type {
  CacheEvent,
  ChunkEvent,
  DropEvent,
  FaultEvent,
  HostEvent,
  IdempotencyEvent,
  JobEvent,
  LimitEvent,
  RequestEvent,
  RunEvent,
  StreamEvent,
  VersionFaultEvent,
  WebhookEvent,
} from '../channels.ts';
import { HistogramSeries, Instrument, NumberSeries } from './instruments.ts';
import { metricTable } from './metric-table.ts';
import type { MetricDefinition, MetricName, PullMetricName } from './metric-table.ts';

export interface MetricsOptions {
  /** `service` label of every series. */
  readonly serviceName: string;
  /** The process's own: CPU, memory, event-loop lag, garbage collection, handles. */
  readonly processMetrics: boolean;
}

export interface Metrics {
  readonly contentType: string;
  /** The exposition text. */
  text(): Promise<string>;
  /** Feeds a metric whose value is asked for at each scrape. */
  pull(name: PullMetricName, read: () => number): void;
  /** Lets go of the channels. */
  stop(): void;
}

/** Counts what the channels tell, in a registry of its own. */
export function startMetrics(options: MetricsOptions): Metrics {
  const registry = new Registry();
  registry.setDefaultLabels({ service: options.serviceName });
  if (options.processMetrics) collectDefaultMetrics({ register: registry });
  const table = createTable(registry);
  const unsubscribe = [
    subscribe(channels.request, requestRecorder(table)),
    subscribe(channels.job, jobRecorder(table)),
    subscribe(channels.cache, cacheRecorder(table)),
    subscribe(channels.drop, dropRecorder(table)),
    subscribe(channels.run, runRecorder(table)),
    subscribe(channels.chunk, chunkRecorder(table)),
    subscribe(channels.host, hostRecorder(table)),
    subscribe(channels.versionFault, versionFaultRecorder(table)),
    subscribe(channels.limit, limitRecorder(table)),
    subscribe(channels.stream, streamRecorder(table)),
    subscribe(channels.idempotency, idempotencyRecorder(table)),
    subscribe(channels.webhook, webhookRecorder(table)),
    subscribe(channels.fault, faultRecorder(table)),
  ];
  return {
    contentType: registry.contentType,
    text: () => registry.metrics(),
    pull(name, read) {
      const gauge = table[name];
      const series = gauge.labels();
      gauge.collect = () => {
        series.value = read();
      };
    },
    stop() {
      for (const leave of unsubscribe) leave();
      registry.clear();
    },
  };
}

type Table = {
  readonly [Name in MetricName]: Instrument<
    (typeof metricTable)[Name]['type'] extends 'histogram' ? HistogramSeries : NumberSeries
  >;
};

function createTable(registry: Registry): Table {
  const definitions: [string, MetricDefinition][] = Object.entries(metricTable);
  const instruments = definitions.map(([name, definition]) => {
    const { type, buckets = [] } = definition;
    const instrument =
      type === 'histogram'
        ? new Instrument(name, definition, () => new HistogramSeries(buckets))
        : new Instrument(name, definition, () => new NumberSeries());
    // The registry asks for a name and `get` only; its type wants one of its own classes.
    registry.registerMetric(instrument as unknown as Metric);
    return [name, instrument] as const;
  });
  return Object.fromEntries(instruments) as unknown as Table;
}

/** Each channel has one event type (channels.ts); the library's own type does not know it. */
function subscribe<Event>(channel: Channel, record: (event: Event) => void): () => void {
  const listener: ChannelListener = (event) => record(event as Event);
  channel.subscribe(listener);
  return () => channel.unsubscribe(listener);
}

/**
 * Values of one label that are told apart; all further ones are counted as `other`. Ours are bounded anyhow
 * (routes, codes, states, registered models): this holds when that should turn out wrong.
 */
const labelValuesMax = 128;
const otherValue = 'other';

/** What was made for a label value, made once: recording then is a look-up for each label and an addition. */
function memo<Made>(make: (value: string) => Made): (value: string) => Made {
  const known = new Map<string, Made>();
  return function lookUp(value) {
    const found = known.get(value);
    if (found !== undefined) return found;
    if (known.size >= labelValuesMax && value !== otherValue) return lookUp(otherValue);
    const made = make(value);
    known.set(value, made);
    return made;
  };
}

function requestRecorder(table: Table): (event: RequestEvent) => void {
  const routes = memo((route) => ({
    duration: table.millrace_request_duration_seconds.labels(route),
    methods: memo((method) => memo((status) => table.millrace_requests_total.labels(method, route, status))),
    errors: memo((code) => table.millrace_request_errors_total.labels(route, code)),
  }));
  const models = memo((model) =>
    memo((version) => ({
      total: table.millrace_predict_duration_seconds.labels(model, version),
      batchWait: table.millrace_predict_batch_wait_seconds.labels(model, version),
      queueWait: table.millrace_predict_queue_wait_seconds.labels(model, version),
      run: table.millrace_predict_run_seconds.labels(model, version),
    })),
  );
  return (event) => {
    const route = routes(event.route);
    route.methods(event.method)(String(event.status)).add(1);
    route.duration.observe(event.durationMs / 1000);
    if (event.errorCode !== null) route.errors(event.errorCode).add(1);
    const { timings } = event;
    // Only predictions have timings, so the names are those of models that exist.
    if (timings === null) return;
    const model = models(event.model ?? otherValue)(event.version ?? otherValue);
    model.total.observe(timings.totalMs / 1000);
    // What was kept did not wait and was not run: zeros would pull the quantiles down.
    if (event.cache === 'hit') return;
    model.batchWait.observe(timings.batchWaitMs / 1000);
    model.queueWait.observe(timings.queueMs / 1000);
    model.run.observe(timings.runMs / 1000);
  };
}

function jobRecorder(table: Table): (event: JobEvent) => void {
  const inFlight = memo((lane) => table.millrace_jobs_in_flight.labels(lane));
  const jobs = memo((model) =>
    memo((version) =>
      memo((lane) => ({
        phases: memo((phase) => table.millrace_jobs_total.labels(model, version, lane, phase)),
        rows: table.millrace_batch_rows.labels(model, version, lane),
        entries: table.millrace_batch_entries.labels(model, version, lane),
      })),
    ),
  );
  return (event) => {
    const job = jobs(event.model)(event.version)(event.lane);
    job.phases(event.phase).add(1);
    if (event.phase === 'submitted') {
      inFlight(event.lane).add(1);
      job.rows.observe(event.rows);
      job.entries.observe(event.entries);
    } else if (event.phase !== 'late') inFlight(event.lane).add(-1);
  };
}

function cacheRecorder(table: Table): (event: CacheEvent) => void {
  const lookups = table.millrace_cache_lookups_total;
  const inserts = table.millrace_cache_inserts_total;
  const series: Readonly<Record<CacheEvent['what'], NumberSeries>> = {
    hit: lookups.labels('hit'),
    miss: lookups.labels('miss'),
    bypass: lookups.labels('bypass'),
    inserted: inserts.labels('inserted'),
    not_inserted: inserts.labels('not_inserted'),
    joined: table.millrace_single_flight_joins_total.labels(),
  };
  return ({ what, count }) => series[what].add(count);
}

function dropRecorder(table: Table): (event: DropEvent) => void {
  const stages = {
    expired: memo((stage) => table.millrace_expired_total.labels(stage)),
    cancelled: memo((stage) => table.millrace_cancelled_total.labels(stage)),
    rejected: memo((stage) => table.millrace_rejected_total.labels(stage)),
  };
  return ({ reason, stage, requests }) => stages[reason](stage).add(requests);
}

function runRecorder(table: Table): (event: RunEvent) => void {
  const runs = memo((model) =>
    memo((version) =>
      memo((lane) => ({
        outcomes: memo((outcome) => ({
          runs: table.millrace_runs_total.labels(model, version, lane, outcome),
          rows: table.millrace_run_rows_total.labels(model, version, lane, outcome),
        })),
        duration: table.millrace_run_duration_seconds.labels(model, version, lane),
        queueWait: table.millrace_run_queue_wait_seconds.labels(model, version, lane),
        hostWait: table.millrace_run_host_wait_seconds.labels(model, version, lane),
      })),
    ),
  );
  return (event) => {
    const run = runs(event.model)(event.version)(event.lane);
    const outcome = run.outcomes(event.outcome);
    outcome.runs.add(1);
    outcome.rows.add(event.rows);
    run.queueWait.observe(event.queueMs / 1000);
    // What has expired was never run: zeros would pull the quantiles down.
    if (event.outcome === 'expired') return;
    run.hostWait.observe(event.waitMs / 1000);
    run.duration.observe(event.runMs / 1000);
  };
}

function chunkRecorder(table: Table): (event: ChunkEvent) => void {
  const models = memo((model) =>
    memo((version) => ({
      outcomes: memo((outcome) => table.millrace_chunks_total.labels(model, version, outcome)),
      succeeded: table.millrace_chunk_rows_total.labels(model, version, 'succeeded'),
      failed: table.millrace_chunk_rows_total.labels(model, version, 'failed'),
      deadLetters: table.millrace_dead_letters_total.labels(model, version),
      run: table.millrace_chunk_run_seconds.labels(model, version),
      duration: table.millrace_chunk_duration_seconds.labels(model, version),
    })),
  );
  return (event) => {
    const chunk = models(event.model)(event.version);
    chunk.outcomes(event.outcome).add(1);
    chunk.succeeded.add(event.rowsSucceeded);
    chunk.failed.add(event.rowsFailed);
    chunk.deadLetters.add(event.deadLetters);
    chunk.run.observe(event.runMs / 1000);
    if (event.outcome === 'settled') chunk.duration.observe(event.totalMs / 1000);
  };
}

function hostRecorder(table: Table): (event: HostEvent) => void {
  const hosts = new Map<string, { state: string; readonly loaded: Set<string> }>();
  const loadedVersions = table.millrace_loaded_versions.labels();
  const deaths = table.millrace_host_deaths_total.labels();
  const states = memo((state) => table.millrace_hosts.labels(state));
  const loads = memo((model) =>
    memo((version) => memo((change) => table.millrace_host_loads_total.labels(model, version, change))),
  );

  function move(hostId: string, next: string): void {
    const host = hosts.get(hostId);
    if (host?.state === next) return;
    if (host !== undefined) states(host.state).add(-1);
    const ended = next === 'stopped' || next === 'defunct';
    if (!ended) states(next).add(1);
    if (ended) {
      loadedVersions.add(-(host?.loaded.size ?? 0));
      hosts.delete(hostId);
    } else if (host === undefined) hosts.set(hostId, { state: next, loaded: new Set() });
    else host.state = next;
    if (next === 'defunct') deaths.add(1);
  }

  function change(event: HostEvent, kind: NonNullable<HostEvent['change']>): void {
    const { model = otherValue, version = otherValue } = event;
    loads(model)(version)(kind).add(1);
    const loaded = hosts.get(event.hostId)?.loaded;
    if (loaded === undefined) return;
    const before = loaded.size;
    if (kind === 'loaded') loaded.add(`${model}/${version}`);
    if (kind === 'unloaded') loaded.delete(`${model}/${version}`);
    loadedVersions.add(loaded.size - before);
  }

  return (event) => {
    move(event.hostId, event.state);
    if (event.change !== undefined) change(event, event.change);
  };
}

function versionFaultRecorder(table: Table): (event: VersionFaultEvent) => void {
  const faults = memo((model) =>
    memo((version) => memo((reason) => table.millrace_version_faults_total.labels(model, version, reason))),
  );
  return (event) => faults(event.model)(event.version)(event.reason).add(1);
}

function streamRecorder(table: Table): (event: StreamEvent) => void {
  const open = memo((kind) => table.millrace_streams_open.labels(kind));
  return ({ kind, change }) => open(kind).add(change === 'opened' ? 1 : -1);
}

function limitRecorder(table: Table): (event: LimitEvent) => void {
  const refused = memo((rateClass) => table.millrace_rate_limited_total.labels(rateClass));
  const trips = memo((outcome) => table.millrace_rate_limit_trips_total.labels(outcome));
  return (event) => {
    if (event.change === 'refused') refused(event.rateClass).add(1);
    else trips(event.change).add(1);
  };
}

function idempotencyRecorder(table: Table): (event: IdempotencyEvent) => void {
  const outcomes = memo((outcome) => table.millrace_keyed_requests_total.labels(outcome));
  return (event) => outcomes(event.outcome).add(1);
}

function webhookRecorder(table: Table): (event: WebhookEvent) => void {
  const outcomes = memo((outcome) => table.millrace_webhook_attempts_total.labels(outcome));
  return (event) => outcomes(event.outcome).add(1);
}

function faultRecorder(table: Table): (event: FaultEvent) => void {
  const components = memo((component) => table.millrace_faults_total.labels(component));
  return (event) => components(event.component).add(1);
}
