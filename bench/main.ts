import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { freePort } from '../test/support/redis-server.ts';
import { batches } from './batch.ts';
import { hopShares } from './hops.ts';
import { findLoadTool, load } from './load.ts';
import type { LoadResult, LoadTool } from './load.ts';
import { openLoop } from './open-loop.ts';
import { untilOk } from './processes.ts';
import { writeReport } from './report.ts';
import type { Row, Section } from './report.ts';
import { soak } from './soak.ts';
import { spread } from './statistics.ts';
import type { Spread } from './statistics.ts';
import { fixture, startSystem, wastedRows } from './system.ts';
import type { System } from './system.ts';

const help = `npm run bench [-- --quick] [--only PART]    Measures predictions and batches against their yardsticks in one run.
  --quick       shorter and fewer runs
  --only PART   throughput, latency, overload, batches, hops or soak
  With either of them figures are printed only; the report is left as it is.`;

const { values: flags } = parseArgs({
  options: { quick: { type: 'boolean' }, only: { type: 'string' }, help: { type: 'boolean' } },
});
const quick = flags.quick === true;
const seconds = quick ? 3 : 5;
const rounds = quick ? 2 : 3;
const tool: LoadTool = findLoadTool();

if (flags.help === true) console.log(help);
else await bench();

async function bench(): Promise<void> {
  const system = await startSystem();
  try {
    const [echoPort, naivePort] = [await freePort(), await freePort()];
    await system.subject('echo.ts', [String(echoPort)]);
    await system.subject('naive-worker.ts', [system.redisUrl, fixture('mlp-5-3.onnx')]);
    await system.subject('naive-api.ts', [String(naivePort), system.redisUrl]);
    const [echoUrl, naiveUrl] = [echoPort, naivePort].map(
      (port) => `http://127.0.0.1:${port}/api/v1/predict`,
    );
    const probe = {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: '{"inputs":[1,2,3,4,5]}',
    };
    await untilOk(echoUrl as string, probe);
    await untilOk(naiveUrl as string, probe);
    const parts: Readonly<Record<string, () => Promise<readonly Section[]>>> = {
      throughput: async () => [await throughput(system, echoUrl as string, naiveUrl as string)],
      latency: async () => [await oneAtATime(system)],
      overload: async () => [await overload(system)],
      batches: () => manyRows(system),
      hops: async () => {
        await system.stop();
        return [await whereTimeGoes()];
      },
      soak: async () => {
        await system.stop();
        return [soak(quick ? 50_000 : 1_000_000)];
      },
    };
    const sections: Section[] = [];
    for (const [name, part] of Object.entries(parts))
      if (flags.only === undefined || flags.only === name) sections.push(...(await part()));
    if (!quick && flags.only === undefined) writeReport(sections, tool);
    for (const section of sections) for (const row of section.rows) console.log(rowText(row));
  } finally {
    await system.stop();
  }
}

interface Subject {
  readonly url: string;
  readonly apiKey: string;
  readonly connections: number;
  readonly width?: number;
  readonly repeat?: boolean;
  readonly uncached?: boolean;
}

/** One after the other, again and again, so that a slow minute of the machine meets both. */
async function paired(
  ours: Subject,
  yardstick: Subject,
): Promise<{ ours: LoadResult[]; yardstick: LoadResult[] }> {
  const results = { ours: [] as LoadResult[], yardstick: [] as LoadResult[] };
  await measure(ours, 1);
  for (let round = 0; round < rounds; round += 1) {
    results.yardstick.push(await measure(yardstick, seconds));
    results.ours.push(await measure(ours, seconds));
  }
  const failed = results.ours.reduce((sum, { failed: count }) => sum + count, 0);
  if (failed > 0) console.log(`${failed} requests failed at ${ours.connections} connections`);
  return results;
}

function measure(subject: Subject, duration: number): Promise<LoadResult> {
  return load(tool, { width: 5, ...subject, seconds: duration });
}

function compare(
  name: string,
  results: { ours: readonly LoadResult[]; yardstick: readonly LoadResult[] },
  target: number | null,
): Row {
  const rates = (of: readonly LoadResult[]): number[] => of.map(({ perSecond }) => perSecond);
  const ratio = spread(rates(results.ours).map((rate, i) => rate / (rates(results.yardstick)[i] as number)));
  return {
    name,
    unit: 'requests/s',
    ours: spread(rates(results.ours)),
    yardstick: spread(rates(results.yardstick)),
    ratio,
    target: target === null ? null : `≥ ${target}`,
    reached: target === null ? null : ratio.median >= target,
  };
}

async function throughput({ apiUrl, apiKey }: System, echoUrl: string, naiveUrl: string): Promise<Section> {
  const predict = `${apiUrl}/api/v1/predict`;
  const wide = `${apiUrl}/api/v1/models/mlp-784-10/predict`;
  const at = (url: string, connections: number, width = 5): Subject => ({ url, apiKey, connections, width });
  const rows: Row[] = [];
  for (const [connections, target] of [
    [16, null],
    [64, 0.7],
    [256, 0.85],
  ] as const) {
    const results = await paired(at(predict, connections), at(echoUrl, connections));
    rows.push(compare(`predict / bare Express echo, ${connections} connections`, results, target));
  }
  const naive = await paired(at(predict, 64), at(naiveUrl, 64));
  rows.push(compare('predict / one job a request, 64 connections', naive, 4));
  const hits = await paired({ ...at(predict, 64), repeat: true }, { ...at(echoUrl, 64), repeat: true });
  rows.push(compare('cache hits / bare Express echo, 64 connections', hits, 0.8));
  const large = await paired({ ...at(wide, 64, 784), uncached: true }, at(echoUrl, 64, 784));
  rows.push(compare('784→10, every request a run / echo, 64 connections', large, null));
  return {
    title: 'Throughput of predict',
    notes: [
      'The whole path: key, rate limit, validation, cache miss and insert, coalescing, BullMQ, model in a host process, metrics and a log line for each request. Every request is different, but for the cache hits.',
    ],
    rows,
  };
}

/** The floor is a bare BullMQ add → worker → PUBLISH round trip. */
async function oneAtATime({ apiUrl, apiKey, redisUrl }: System): Promise<Section> {
  const script = fileURLToPath(new URL('subjects/roundtrip.ts', import.meta.url));
  const [ours, floor]: [number[], number[]] = [[], []];
  for (let round = 0; round < rounds; round += 1) {
    const printed = execFileSync(process.execPath, [script, redisUrl], { encoding: 'utf8' });
    floor.push((JSON.parse(printed) as { p50Ms: number }).p50Ms);
    const { p50Ms } = await measure({ url: `${apiUrl}/api/v1/predict`, apiKey, connections: 1 }, seconds);
    ours.push(p50Ms);
  }
  const ratio = spread(ours.map((p50, i) => p50 / (floor[i] as number)));
  const row: Row = {
    name: 'p50 of predict at 1 connection / bare queue round trip',
    unit: 'ms',
    ours: spread(ours),
    yardstick: spread(floor),
    ratio,
    target: '≤ 2.5',
    reached: ratio.median <= 2.5,
  };
  return { title: 'One request at a time', notes: [], rows: [row] };
}

/** Arrivals at a fixed rate, in shares of what 256 connections got through. */
async function overload(system: System): Promise<Section> {
  const { apiUrl, apiKey } = system;
  const url = `${apiUrl}/api/v1/predict`;
  const capacity = (await measure({ url, apiKey, connections: 256 }, seconds)).perSecond;
  const rows: Row[] = [];
  const notes = [
    `Latency counts from the instant at which a request was due. Capacity: ${Math.round(capacity)} requests/s (256 connections, closed loop). The generator shares the two cores.`,
  ];
  const p99s: number[] = [];
  const before = await wastedRows(system);
  for (const share of [0.5, 0.8, 1, 1.5]) {
    const result = await openLoop({ url, apiKey, perSecond: capacity * share, seconds, width: 5 });
    p99s.push(result.p99Ms);
    rows.push(plain(`p99 at ${share * 100} % of capacity`, 'ms', result.p99Ms));
    const { acceptedPerSecond, p50Ms, p999Ms, refusedShare, refusedP99Ms, withoutRetryAfter, failed } =
      result;
    const refused =
      refusedP99Ms === null
        ? 'none refused'
        : `${(refusedShare * 100).toFixed(1)} % refused with 503 (${withoutRetryAfter} without Retry-After) with a p99 of ${refusedP99Ms.toFixed(1)} ms`;
    notes.push(
      `At ${share * 100} %: ${Math.round(acceptedPerSecond)} answered a second, p50 ${p50Ms.toFixed(1)} ms, p99.9 ${p999Ms.toFixed(1)} ms, ${refused}, ${failed} failed otherwise.`,
    );
  }
  const after = await wastedRows(system);
  const wasted = (100 * (after.wasted - before.wasted)) / Math.max(1, after.run - before.run);
  const [, at80 = 0, , at150 = 0] = p99s;
  rows.push({
    ...plain('p99 at 150 % / p99 at 80 %', '', at150 / at80),
    target: '≤ 2',
    reached: at150 / at80 <= 2,
  });
  rows.push({ ...plain('rows that were run for nobody', '%', wasted), target: '< 1 %', reached: wasted < 1 });
  return { title: 'Open loop', notes, rows };
}

async function manyRows(system: System): Promise<readonly Section[]> {
  const subject = { url: `${system.apiUrl}/api/v1/predict`, apiKey: system.apiKey, connections: 256 };
  const capacity = (await measure(subject, seconds)).perSecond;
  const size = quick ? { rows: 100_000, wideRows: 20_000 } : { rows: 1_000_000, wideRows: 200_000 };
  return batches(system, { ...size, rounds: quick ? 1 : 2, capacity, seconds });
}

/** A system of its own, since profiling costs about a tenth. */
async function whereTimeGoes(): Promise<Section> {
  const system = await startSystem({}, { profiled: true });
  const warmS = 2;
  const subject = { url: `${system.apiUrl}/api/v1/predict`, apiKey: system.apiKey, connections: 64 };
  await measure(subject, seconds + warmS);
  await system.stop({ keepFolder: true });
  const rows: Row[] = [];
  for (const name of ['api', 'worker'] as const)
    for (const { hop, share } of await hopShares(system.profileFolder(name), warmS))
      if (share >= 0.01) rows.push(plain(`${name}: ${hop}`, '% of its busy time', share * 100));
  await system.removeFolder();
  return {
    title: 'Where the time goes',
    notes: ['From CPU profiles at 64 connections, cache misses. Native code counts for whoever called it.'],
    rows,
  };
}

function plain(name: string, unit: string, value: number): Row {
  const single: Spread = { median: value, min: value, max: value };
  return { name, unit, ours: single, yardstick: null, ratio: null, target: null, reached: null };
}

function rowText({ name, unit, ours, yardstick, ratio, target }: Row): string {
  const against = yardstick === null ? '' : ` against ${yardstick.median.toFixed(2)}`;
  const times = ratio === null ? '' : ` = ${ratio.median.toFixed(2)} (${target ?? 'no target'})`;
  return `${name}: ${ours.median.toFixed(2)} ${unit}${against}${times}`;
}
