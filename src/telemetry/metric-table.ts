/**
 * Every metric of our own, as data. docs/metrics.md is held to this table by a test, both ways. Labels are
 * bounded: routes are templates, models and versions are ones that answered, and past `labelSetsMax` (metrics.ts)
 * further sets are counted under `other`.
 */
export interface MetricDefinition {
  readonly type: 'counter' | 'gauge' | 'histogram';
  readonly help: string;
  readonly labels: readonly string[];
  /** The channel that feeds it, or `pull` when a main registers a function that is asked at each scrape. */
  readonly source:
    | 'request'
    | 'job'
    | 'drop'
    | 'cache'
    | 'run'
    | 'chunk'
    | 'host'
    | 'versionFault'
    | 'limit'
    | 'stream'
    | 'idempotency'
    | 'webhook'
    | 'fault'
    | 'pull';
  readonly buckets?: readonly number[];
}

/** From a cached answer to a batch that nearly missed the longest deadline. */
const secondsBuckets = [
  0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60,
];
const countBuckets = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024];

export const metricTable = {
  millrace_requests_total: {
    type: 'counter',
    help: 'HTTP requests answered, 499 for callers who left.',
    labels: ['method', 'route', 'status'],
    source: 'request',
  },
  millrace_request_errors_total: {
    type: 'counter',
    help: 'HTTP requests answered with an error, by its code.',
    labels: ['route', 'code'],
    source: 'request',
  },
  millrace_request_duration_seconds: {
    type: 'histogram',
    help: 'From the headers of a request to the end of its answer.',
    labels: ['route'],
    source: 'request',
    buckets: secondsBuckets,
  },
  millrace_requests_in_flight: {
    type: 'gauge',
    help: 'Requests that hold a permit.',
    labels: [],
    source: 'pull',
  },
  millrace_rate_limited_total: {
    type: 'counter',
    help: 'Requests refused with 429, by class of limit: anonymous, default, sensitive.',
    labels: ['class'],
    source: 'limit',
  },
  millrace_rate_limit_trips_total: {
    type: 'counter',
    help: 'Trips to Redis for tokens: leased, or lost because no answer came in time.',
    labels: ['outcome'],
    source: 'limit',
  },
  millrace_rate_limits_local: {
    type: 'gauge',
    help: '1 while Redis is out of reach, so that this process limits by itself.',
    labels: [],
    source: 'pull',
  },
  millrace_predict_duration_seconds: {
    type: 'histogram',
    help: 'Predictions: from admission to the answer.',
    labels: ['model', 'version'],
    source: 'request',
    buckets: secondsBuckets,
  },
  millrace_predict_batch_wait_seconds: {
    type: 'histogram',
    help: 'Predictions: waiting in the coalescer for a job to leave.',
    labels: ['model', 'version'],
    source: 'request',
    buckets: secondsBuckets,
  },
  millrace_predict_queue_wait_seconds: {
    type: 'histogram',
    help: 'Predictions: waiting in the lane for a worker.',
    labels: ['model', 'version'],
    source: 'request',
    buckets: secondsBuckets,
  },
  millrace_predict_run_seconds: {
    type: 'histogram',
    help: 'Predictions: inside the run of the model that they shared.',
    labels: ['model', 'version'],
    source: 'request',
    buckets: secondsBuckets,
  },
  millrace_jobs_total: {
    type: 'counter',
    help: 'Jobs of this API process, by phase: submitted, then settled or lost; late when lost ones come back.',
    labels: ['model', 'version', 'lane', 'phase'],
    source: 'job',
  },
  millrace_streams_open: {
    type: 'gauge',
    help: 'Answers that are sent while they are made, by kind: results, pages of results, or events of batches.',
    labels: ['kind'],
    source: 'stream',
  },
  millrace_jobs_in_flight: {
    type: 'gauge',
    help: 'Jobs submitted and not yet settled or lost.',
    labels: ['lane'],
    source: 'job',
  },
  millrace_expired_total: {
    type: 'counter',
    help: 'Requests whose deadline had passed, by where that was found: batching and result in the API, taking, loading, run and publish in workers. Only publish has cost a run.',
    labels: ['stage'],
    source: 'drop',
  },
  millrace_cancelled_total: {
    type: 'counter',
    help: 'Requests whose caller had left, by where that was found: batching, or lane for those whose whole job was taken back.',
    labels: ['stage'],
    source: 'drop',
  },
  millrace_rejected_total: {
    type: 'counter',
    help: 'Requests refused at once with 503, by what was short: admission, saturation, memory, pending_rows, deadline, queue_delay or streams.',
    labels: ['stage'],
    source: 'drop',
  },
  millrace_redis_memory_share: {
    type: 'gauge',
    help: 'Part of Redis’ maxmemory that is in use, as this process last saw it; 0 where Redis has no limit.',
    labels: [],
    source: 'pull',
  },
  millrace_batch_rows: {
    type: 'histogram',
    help: 'Rows in a submitted job (batch size).',
    labels: ['model', 'version', 'lane'],
    source: 'job',
    buckets: countBuckets,
  },
  millrace_batch_entries: {
    type: 'histogram',
    help: 'Requests that share a submitted job.',
    labels: ['model', 'version', 'lane'],
    source: 'job',
    buckets: countBuckets,
  },
  millrace_cache_lookups_total: {
    type: 'counter',
    help: 'Look-ups in the response cache: hit, miss, or bypass where it was left out or did not answer.',
    labels: ['outcome'],
    source: 'cache',
  },
  millrace_cache_inserts_total: {
    type: 'counter',
    help: 'Results for the response cache: inserted, or not_inserted (too large, no room, Redis refused).',
    labels: ['outcome'],
    source: 'cache',
  },
  millrace_single_flight_joins_total: {
    type: 'counter',
    help: 'Requests that waited for an equal one on its way, in place of a look-up and a run of their own.',
    labels: [],
    source: 'cache',
  },
  millrace_runs_total: {
    type: 'counter',
    help: 'Runs in this worker process, by outcome.',
    labels: ['model', 'version', 'lane', 'outcome'],
    source: 'run',
  },
  millrace_run_rows_total: {
    type: 'counter',
    help: 'Rows in those runs.',
    labels: ['model', 'version', 'lane', 'outcome'],
    source: 'run',
  },
  millrace_run_duration_seconds: {
    type: 'histogram',
    help: 'Inside the run of the model, as the worker saw it.',
    labels: ['model', 'version', 'lane'],
    source: 'run',
    buckets: secondsBuckets,
  },
  millrace_run_queue_wait_seconds: {
    type: 'histogram',
    help: 'From the submission of a job to the worker’s taking it.',
    labels: ['model', 'version', 'lane'],
    source: 'run',
    buckets: secondsBuckets,
  },
  millrace_run_host_wait_seconds: {
    type: 'histogram',
    help: 'From taking a job to the start of its run: waiting for a host, loading, pre-processing.',
    labels: ['model', 'version', 'lane'],
    source: 'run',
    buckets: secondsBuckets,
  },
  millrace_chunks_total: {
    type: 'counter',
    help: 'Attempts at chunks of batches in this worker process, by outcome: settled; duplicate, final or gone when the result came too late; unwanted when the batch ended meanwhile; retried.',
    labels: ['model', 'version', 'outcome'],
    source: 'chunk',
  },
  millrace_chunk_rows_total: {
    type: 'counter',
    help: 'Rows of settled chunks: succeeded, or failed (with those refused at the door).',
    labels: ['model', 'version', 'outcome'],
    source: 'chunk',
  },
  millrace_chunk_run_seconds: {
    type: 'histogram',
    help: 'Inside the runs of one attempt at a chunk: their sum is the time that the bulk lane had the hosts.',
    labels: ['model', 'version'],
    source: 'chunk',
    buckets: secondsBuckets,
  },
  millrace_chunk_duration_seconds: {
    type: 'histogram',
    help: 'From taking a chunk to its being settled.',
    labels: ['model', 'version'],
    source: 'chunk',
    buckets: secondsBuckets,
  },
  millrace_dead_letters_total: {
    type: 'counter',
    help: 'Rows of batches that failed for good after they reached a run, kept as dead letters.',
    labels: ['model', 'version'],
    source: 'chunk',
  },
  millrace_hosts: {
    type: 'gauge',
    help: 'Host processes by state.',
    labels: ['state'],
    source: 'host',
  },
  millrace_host_deaths_total: {
    type: 'counter',
    help: 'Hosts that became defunct (died, hung, broke the protocol) and were replaced.',
    labels: [],
    source: 'host',
  },
  millrace_version_faults_total: {
    type: 'counter',
    help: 'Rows that ended the host of their version, and runs that hung in it, by reason.',
    labels: ['model', 'version', 'reason'],
    source: 'versionFault',
  },
  millrace_host_loads_total: {
    type: 'counter',
    help: 'Model versions loaded, unloaded or not loadable, over all hosts.',
    labels: ['model', 'version', 'change'],
    source: 'host',
  },
  millrace_loaded_versions: {
    type: 'gauge',
    help: 'Sessions held: model versions that are loaded, summed over hosts.',
    labels: [],
    source: 'host',
  },
  millrace_keyed_requests_total: {
    type: 'counter',
    help: 'Requests with an Idempotency-Key: computed, taken_over (computed after one that broke off), replayed, refused with 409.',
    labels: ['outcome'],
    source: 'idempotency',
  },
  millrace_webhook_attempts_total: {
    type: 'counter',
    help: 'Attempts to call a webhook: delivered, failed (another one follows), given_up (it was the last).',
    labels: ['outcome'],
    source: 'webhook',
  },
  millrace_faults_total: {
    type: 'counter',
    help: 'Faults that no request’s answer shows, by component.',
    labels: ['component'],
    source: 'fault',
  },
} as const satisfies Record<string, MetricDefinition>;

export type MetricName = keyof typeof metricTable;
export type PullMetricName = {
  [Name in MetricName]: (typeof metricTable)[Name]['source'] extends 'pull' ? Name : never;
}[MetricName];
