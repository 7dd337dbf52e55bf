import { until } from '../../src/dev/readiness.ts';

/** One scrape of a process's /metrics. */
export interface Metrics {
  /** Sum of the samples of that name with all these labels; 0 when there are none. */
  sum(name: string, labels?: Readonly<Record<string, string>>): number;
  /** Whether there is a sample of that name. */
  has(name: string): boolean;
}

interface Sample {
  readonly name: string;
  readonly labels: string;
  readonly value: number;
}

const sampleLine = /^(\w+)(?:\{(.*)\})? (\S+)$/;
/** Far beyond what any gauge here needs, within the timeout of a test. */
const settledTimeoutMs = 15_000;

export async function scrape({ adminUrl }: { readonly adminUrl: string }): Promise<Metrics> {
  const text = await (await fetch(`${adminUrl}/metrics`)).text();
  const samples = text.split('\n').flatMap((line): Sample[] => {
    const [, name, labels = '', value] = sampleLine.exec(line) ?? [];
    return name === undefined ? [] : [{ name, labels, value: Number(value) }];
  });
  return {
    sum: (name, labels = {}) => {
      const wanted = Object.entries(labels).map(([label, value]) => `${label}="${value}"`);
      return samples
        .filter((sample) => sample.name === name && wanted.every((text) => sample.labels.includes(text)))
        .reduce((sum, sample) => sum + sample.value, 0);
    },
    has: (name) => samples.some((sample) => sample.name === name),
  };
}

/** Asks until the metrics are as wanted. */
export async function untilMetrics(
  member: { readonly adminUrl: string },
  wanted: (metrics: Metrics) => boolean,
): Promise<void> {
  await until(async () => wanted(await scrape(member)), AbortSignal.timeout(settledTimeoutMs));
}

/** A worker's host has a run in hand. */
export function isBusy(metrics: Metrics): boolean {
  return metrics.sum('millrace_hosts', { state: 'busy' }) > 0;
}

/** An API process has no request and no job in hand. */
export function isIdle(metrics: Metrics): boolean {
  return metrics.sum('millrace_requests_in_flight') === 0 && metrics.sum('millrace_jobs_in_flight') === 0;
}
