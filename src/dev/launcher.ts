import { mkdirSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { channels } from '../channels.ts';
import type { FaultEvent } from '../channels.ts';
import { MillraceError } from '../errors.ts';
import { createLifecycle, installSignals } from '../lifecycle.ts';
import type { Lifecycle } from '../lifecycle.ts';
import { devKeyFile, parseRunFile, readRunFile } from '../run-file.ts';
import { loadSettings } from '../settings.ts';
import { createCrew } from './crew.ts';
import type { Crew } from './crew.ts';
import { greeting, reachableUrl } from './greeting.ts';
import { shorten } from './launch.ts';
import type { Launch } from './launch.ts';
import { createOutput } from './output.ts';
import type { Output } from './output.ts';
import { packageRoot } from './package-root.ts';
import { freePort, portProblem } from './ports.ts';
import { until, waitUntilAnswering } from './readiness.ts';
import { acquireRunLock } from './run-lock.ts';
import { readSamples } from './samples.ts';
import { setUp } from './set-up.ts';
import { redisStopTimeoutMs, startRedis } from './start-redis.ts';
import { UserError } from './user-error.ts';

/** What a child may need past its own grace to notice that it is over. */
const stopMarginMs = 2_000;
const parentPollMs = 500;

/** Runs until a signal stops it. Sets the exit code; the process then ends by itself. */
export async function launch(): Promise<void> {
  const startedAtMs = performance.now();
  const output = createOutput(process.stdout);
  const lifecycle = createLifecycle();
  try {
    const loaded = loadSettings();
    const home = resolve(loaded.settings.home);
    const crew = createCrew({ home, output, stopping: lifecycle.stopping });
    followSignals(lifecycle, crew, output, loaded.settings.shutdown_grace_ms);
    await start({ home, loaded, lifecycle, crew, output });
    output.line(`ready in ${((performance.now() - startedAtMs) / 1000).toFixed(1)} s`);
  } catch (error) {
    if (!lifecycle.stopping.aborted) {
      process.exitCode = 1;
      output.cross(inWords(error));
    }
    await lifecycle.stop();
  }
}

/** A stack is for errors of ours; a person can put the others right: a setting, a full disk, a missing right. */
function inWords(error: unknown): string {
  if (error instanceof UserError || MillraceError.is(error)) return error.message;
  if (error instanceof Error && 'syscall' in error) return error.message;
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}

/** Ctrl-C stops the API first, then the worker, then Redis; the second one kills what is left. */
function followSignals(lifecycle: Lifecycle, crew: Crew, output: Output, graceMs: number): void {
  channels.fault.subscribe((event) => {
    const { message, error } = event as FaultEvent;
    output.cross(error === undefined ? message : `${message}: ${inWords(error)}`);
  });
  lifecycle.stopping.addEventListener('abort', () => {
    output.waiting('stopping');
    void lifecycle.stop().then(() => {
      if (process.exitCode === undefined) output.tick('stopped');
    });
  });
  installSignals(lifecycle, {
    graceMs: 2 * (graceMs + stopMarginMs) + redisStopTimeoutMs,
    supervised: false,
    exit: (code) => {
      crew.killAll();
      process.exit(code);
    },
  });
  // A terminal that is closed counts as a Ctrl-C, and so does an npm that was killed: it cannot pass that on.
  const stop = () => process.kill(process.pid, 'SIGTERM');
  process.on('SIGHUP', stop);
  if (process.env['npm_lifecycle_event'] !== undefined) watchParent(lifecycle.stopping, stop);
}

function watchParent(stopping: AbortSignal, onGone: () => void): void {
  const parent = process.ppid;
  const timer = setInterval(() => {
    if (process.ppid !== parent) onGone();
  }, parentPollMs);
  stopping.addEventListener('abort', () => clearInterval(timer));
}

async function start(launch: Launch): Promise<void> {
  const { home, loaded, lifecycle, crew, output } = launch;
  const { host } = loaded.settings;
  mkdirSync(home, { recursive: true, mode: 0o700 });
  await lifecycle.start(
    'run lock',
    () => acquireRunLock(home) ?? refuseSecond(home),
    (lock) => lock.release(),
  );
  const port = loaded.settings.port === 0 ? await freePort() : loaded.settings.port;
  await checkPort(launch, port);
  const apiUrl = reachableUrl(host, port);
  const redisUrl = await startRedis(launch, apiUrl);
  output.waiting('registering the sample models');
  const samples = readSamples();
  const limits = loaded.settings.registry;
  const { apiKey, outdated } = await crew.whileStarting(setUp({ home, samples, limits }));
  output.tick('models', samples.map(({ name }) => name).join(', '));
  if (outdated.length > 0)
    output.line(`    kept as they were first registered in ${shorten(home)}: ${outdated.join(', ')}`);
  await startProcesses(launch, port, redisUrl);
  output.waiting('starting the API and a worker');
  await crew.whileStarting(waitUntilAnswering({ apiUrl, apiKey, signal: lifecycle.stopping }));
  crew.up();
  output.tick('running', `one API, one worker; logs in ${shorten(join(home, 'logs'))}`);
  const keyFile = shorten(devKeyFile(home));
  for (const line of greeting({ apiUrl, apiKey, keyFile })) output.line(line);
}

function refuseSecond(home: string): never {
  const other = readRunFile(home);
  const where = other === undefined ? 'and is starting' : `at ${other.apiUrl} (process ${other.pid})`;
  throw new UserError(
    `Millrace already runs from ${shorten(home)} ${where}: stop it there, or start this one beside it ` +
      'with a MILLRACE_HOME and a MILLRACE_PORT of its own.',
  );
}

/** With the lock in hand a run file is one of a launcher that was killed: its children may still be ending. */
async function checkPort({ home, loaded, lifecycle, output }: Launch, port: number): Promise<void> {
  const { host, shutdown_grace_ms: graceMs } = loaded.settings;
  if (parseRunFile(home)?.apiUrl === reachableUrl(host, port)) {
    output.waiting('waiting for the end of a run that was killed');
    const limit = AbortSignal.any([lifecycle.stopping, AbortSignal.timeout(graceMs + stopMarginMs)]);
    await until(async () => (await portProblem(host, port)) === undefined, limit).catch(() => undefined);
  }
  const problem = await portProblem(host, port);
  if (problem !== undefined)
    throw new UserError(`Port ${port} on ${host} ${problem}: set MILLRACE_PORT to a free one.`);
}

/** The worker first, so that it is stopped after the API, whose requests it still has to answer. */
async function startProcesses(launch: Launch, port: number, redisUrl: string): Promise<void> {
  const { home, loaded, lifecycle, crew } = launch;
  const env = {
    ...process.env,
    MILLRACE_HOME: home,
    MILLRACE_PORT: String(port),
    MILLRACE_REDIS_URL: redisUrl,
    MILLRACE_SUPERVISED: '1',
    // No load balancer has to notice that this one is going.
    ...(loaded.sources.drain_delay_ms === 'default' ? { MILLRACE_DRAIN_DELAY_MS: '0' } : {}),
    NODE_COMPILE_CACHE: join(home, 'compile-cache'),
  };
  const stopTimeoutMs = loaded.settings.shutdown_grace_ms + stopMarginMs;
  for (const [name, script] of [
    ['worker', 'src/workers/main.ts'],
    ['api', 'src/api/main.ts'],
  ] as const) {
    const args = [join(packageRoot, script)];
    await lifecycle.start(
      name,
      () => crew.start({ name, command: process.execPath, args, env, stopTimeoutMs }),
      (child) => child.stop(),
    );
  }
}
