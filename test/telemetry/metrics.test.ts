import { expect } from 'chai';
import { channels } from '../../src/channels.ts';
import type { ChunkEvent, HostEvent, VersionFaultEvent } from '../../src/channels.ts';
import { startMetrics } from '../../src/telemetry/metrics.ts';
import type { Metrics } from '../../src/telemetry/metrics.ts';
import { jobEvent, requestEvent, runEvent } from './events.ts';

describe('metrics', () => {
  let metrics: Metrics;

  beforeEach(() => {
    metrics = startMetrics({ serviceName: 'millrace-test', processMetrics: false });
  });

  afterEach(() => metrics.stop());

  /** The series whose line starts with `name`, by their labels without `service`. */
  async function seriesOf(name: string): Promise<Record<string, number>> {
    const lines = (await metrics.text()).split('\n').filter((line) => line.startsWith(`${name}{`));
    const pairs = lines.map((line) => {
      const [, labels = '', value] = /\{(.*)\} (\S+)$/.exec(line) ?? [];
      return [labels.replace(/,?service="millrace-test"/, ''), Number(value)] as const;
    });
    return Object.fromEntries(pairs);
  }

  function host(hostId: string, state: string, changes: Partial<HostEvent> = {}): void {
    channels.host.publish({ hostId, pid: 1, state, ...changes } satisfies HostEvent);
  }

  it('counts requests by method, route and status, and errors by code', async () => {
    channels.request.publish(requestEvent());
    channels.request.publish(requestEvent());
    channels.request.publish(requestEvent({ status: 503, errorCode: 'service_unavailable', timings: null }));
    const route = 'route="/api/v1/models/{model}/predict"';
    expect(await seriesOf('millrace_requests_total')).to.deep.equal({
      [`method="POST",${route},status="200"`]: 2,
      [`method="POST",${route},status="503"`]: 1,
    });
    expect(await seriesOf('millrace_request_errors_total')).to.deep.equal({
      [`${route},code="service_unavailable"`]: 1,
    });
  });

  it('splits the time of a prediction, in seconds', async () => {
    channels.request.publish(requestEvent());
    const labels = 'model="wine",version="1"';
    for (const [name, seconds] of Object.entries({
      batch_wait: 0.001,
      queue_wait: 0.002,
      run: 0.004,
      duration: 0.008,
    }))
      expect(await seriesOf(`millrace_predict_${name}_seconds_sum`)).to.deep.equal({ [labels]: seconds });
  });

  it('makes no series from the model of a request that no run answered', async () => {
    channels.request.publish(requestEvent({ status: 404, model: 'made-up', timings: null }));
    expect(await metrics.text()).to.not.include('made-up');
  });

  it('counts a value at a bound into its bucket, and everything into the last', async () => {
    for (const rows of [1, 2, 3, 4, 5000]) channels.job.publish(jobEvent({ rows }));
    const buckets = await seriesOf('millrace_batch_rows_bucket');
    const cumulated = Object.entries(buckets).map(([labels, count]) => [
      /le="([^"]+)"/.exec(labels)?.[1],
      count,
    ]);
    expect(cumulated.slice(0, 4)).to.deep.equal([
      ['1', 1],
      ['2', 2],
      ['4', 4],
      ['8', 4],
    ]);
    expect(cumulated.at(-1)).to.deep.equal(['+Inf', 5]);
    expect(Object.values(await seriesOf('millrace_batch_rows_count'))).to.deep.equal([5]);
  });

  it('knows how many jobs are out', async () => {
    for (const phase of ['submitted', 'submitted', 'submitted', 'settled', 'lost', 'late'] as const)
      channels.job.publish(jobEvent({ phase }));
    expect(await seriesOf('millrace_jobs_in_flight')).to.deep.equal({ 'lane="online"': 1 });
    const jobs = await seriesOf('millrace_jobs_total');
    expect(Object.values(jobs)).to.deep.equal([3, 1, 1, 1]);
  });

  it('counts runs and rows by outcome, and times what was run', async () => {
    channels.run.publish(runEvent());
    channels.run.publish(runEvent({ outcome: 'expired', rows: 2, runMs: 0 }));
    expect(Object.values(await seriesOf('millrace_run_rows_total'))).to.deep.equal([3, 2]);
    expect(Object.values(await seriesOf('millrace_run_duration_seconds_count'))).to.deep.equal([1]);
    expect(Object.values(await seriesOf('millrace_run_queue_wait_seconds_count'))).to.deep.equal([2]);
  });

  it('counts chunks of batches, their rows and the letters they left', async () => {
    const chunk: ChunkEvent = {
      batchId: 'batch_1',
      index: 0,
      model: 'wine',
      version: '1',
      attempt: 1,
      outcome: 'settled',
      rowsSucceeded: 60,
      rowsFailed: 4,
      deadLetters: 3,
      runMs: 20,
      totalMs: 30,
    };
    channels.chunk.publish(chunk);
    const none = { rowsSucceeded: 0, rowsFailed: 0, deadLetters: 0 };
    channels.chunk.publish({ ...chunk, ...none, outcome: 'retried' } satisfies ChunkEvent);
    expect(Object.values(await seriesOf('millrace_chunks_total'))).to.deep.equal([1, 1]);
    expect(Object.values(await seriesOf('millrace_chunk_rows_total'))).to.deep.equal([60, 4]);
    expect(Object.values(await seriesOf('millrace_dead_letters_total'))).to.deep.equal([3]);
    expect(Object.values(await seriesOf('millrace_chunk_run_seconds_sum'))).to.deep.equal([0.04]);
    expect(Object.values(await seriesOf('millrace_chunk_duration_seconds_count'))).to.deep.equal([1]);
  });

  it('follows hosts through their states, and what is loaded in them', async () => {
    for (const hostId of ['a', 'b']) for (const state of ['starting', 'ready']) host(hostId, state);
    host('a', 'busy');
    for (const version of ['1', '2']) host('a', 'busy', { change: 'loaded', model: 'wine', version });
    host('b', 'ready', { change: 'loaded', model: 'wine', version: '1' });
    host('b', 'ready', { change: 'unloaded', model: 'wine', version: '1' });
    expect(await seriesOf('millrace_hosts')).to.deep.equal({
      'state="starting"': 0,
      'state="ready"': 1,
      'state="busy"': 1,
    });
    expect(Object.values(await seriesOf('millrace_loaded_versions'))).to.deep.equal([2]);

    host('a', 'defunct');
    host('b', 'draining');
    host('b', 'stopped');
    expect(Object.values(await seriesOf('millrace_hosts'))).to.deep.equal([0, 0, 0, 0]);
    expect(Object.values(await seriesOf('millrace_loaded_versions'))).to.deep.equal([0]);
    expect(Object.values(await seriesOf('millrace_host_deaths_total'))).to.deep.equal([1]);
  });

  it('counts the faults of versions by reason', async () => {
    for (const reason of ['host_died', 'host_hung', 'host_died'] as const)
      channels.versionFault.publish({ model: 'wine', version: '1', reason } satisfies VersionFaultEvent);
    const wine = 'model="wine",version="1"';
    expect(await seriesOf('millrace_version_faults_total')).to.deep.equal({
      [`${wine},reason="host_died"`]: 2,
      [`${wine},reason="host_hung"`]: 1,
    });
  });

  it('counts faults by component', async () => {
    channels.fault.publish({ component: 'redis', message: 'a' });
    expect(await seriesOf('millrace_faults_total')).to.deep.equal({ 'component="redis"': 1 });
  });

  it('asks for pulled values at each scrape', async () => {
    let inFlight = 3;
    metrics.pull('millrace_requests_in_flight', () => inFlight);
    expect(Object.values(await seriesOf('millrace_requests_in_flight'))).to.deep.equal([3]);
    inFlight = 4;
    expect(Object.values(await seriesOf('millrace_requests_in_flight'))).to.deep.equal([4]);
  });

  it('bounds its series, whatever comes in as a label', async () => {
    for (let count = 0; count < 1000; count++)
      channels.request.publish(requestEvent({ method: `M${count}`, timings: null }));
    const series = await seriesOf('millrace_requests_total');
    expect(Object.keys(series)).to.have.lengthOf(129);
    expect(Object.entries(series).find(([labels]) => labels.includes('method="other"'))?.[1]).to.equal(872);
  });

  it('escapes what a label may not hold', async () => {
    channels.fault.publish({ component: 'a"b\nc\\d', message: '' });
    expect(await metrics.text()).to.include('component="a\\"b\\nc\\\\d"');
  });

  it('has the metrics of the process when asked', async () => {
    const withProcess = startMetrics({ serviceName: 'millrace-test', processMetrics: true });
    const text = await withProcess.text();
    withProcess.stop();
    for (const name of [
      'nodejs_eventloop_lag_p99_seconds',
      'process_resident_memory_bytes',
      'process_cpu_seconds_total',
    ])
      expect(text).to.include(name);
  });

  it('lets go of the channels when it stops', () => {
    metrics.stop();
    for (const channel of [channels.request, channels.job, channels.run, channels.host, channels.fault])
      expect(channel.hasSubscribers).to.equal(false);
  });
});
