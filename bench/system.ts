import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { issueKey } from '../src/api/keys/issue-key.ts';
import { SqliteKeyStore } from '../src/api/keys/sqlite-key-store.ts';
import { readSamples } from '../src/dev/samples.ts';
import { setUp } from '../src/dev/set-up.ts';
import type { Manifest } from '../src/registry/manifest.ts';
import { loadSettings } from '../src/settings.ts';
import { freePort, startRedis } from '../test/support/redis-server.ts';
import { startSubject, untilOk } from './processes.ts';
import type { Subject } from './processes.ts';

/** One API, one worker and a Redis with AOF, as in production, beside the yardsticks. */
export interface System {
  readonly apiUrl: string;
  readonly apiKey: string;
  readonly redisUrl: string;
  readonly folder: string;
  /** Bases of the admin servers. */
  readonly adminUrls: { readonly api: string; readonly worker: string };
  /** Where a profiled process leaves its CPU profile when it stops. */
  profileFolder(name: 'api' | 'worker'): string;
  readonly api: Subject;
  readonly worker: Subject;
  /** A yardstick process, once it answers on `port`. */
  subject(script: string, args: readonly string[]): Promise<Subject>;
  /** Once; without effect after that. */
  stop(options?: { readonly keepFolder: boolean }): Promise<void>;
  removeFolder(): Promise<void>;
}

const root = fileURLToPath(new URL('..', import.meta.url));
export const fixture = (name: string): string => join(root, 'test', 'fixtures', 'models', name);

export async function startSystem(
  env: Readonly<Record<string, string>> = {},
  { profiled = false } = {},
): Promise<System> {
  const folder = await mkdtemp(join(tmpdir(), 'millrace-bench-'));
  const redis = await startRedis();
  const { settings } = loadSettings({});
  const samples = [...readSamples(), await wideModel()];
  await setUp({ home: folder, samples, limits: settings.registry });
  const apiKey = await limitedKey(folder);
  const port = await freePort();
  const [apiAdmin, workerAdmin] = [await freePort(), await freePort()];
  const common = {
    MILLRACE_HOME: folder,
    MILLRACE_REDIS_URL: redis.url,
    MILLRACE_PORT: String(port),
    MILLRACE_API_ADMIN_PORT: String(apiAdmin),
    MILLRACE_WORKER_ADMIN_PORT: String(workerAdmin),
    ...env,
  };
  const profileFolder = (name: string): string => join(folder, `profile-${name}`);
  const start = (name: string, script: string): Subject => {
    const flags = profiled ? ['--cpu-prof', `--cpu-prof-dir=${profileFolder(name)}`] : [];
    const args = [...flags, join(root, script)];
    return startSubject({ name, command: process.execPath, args, env: common, folder });
  };
  const worker = start('worker', 'src/workers/main.ts');
  const api = start('api', 'src/api/main.ts');
  const apiUrl = `http://127.0.0.1:${port}`;
  await untilOk(`${apiUrl}/api/v1/predict`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'x-api-key': apiKey },
    body: '{"inputs":[1.5,2.0,3.1,4.2,5.0]}',
  });
  const subjects: Subject[] = [];
  const removeFolder = (): Promise<void> => rm(folder, { recursive: true, force: true });
  let stopped = false;
  return {
    adminUrls: { api: `http://127.0.0.1:${apiAdmin}`, worker: `http://127.0.0.1:${workerAdmin}` },
    profileFolder,
    removeFolder,
    apiUrl,
    apiKey,
    redisUrl: redis.url,
    folder,
    api,
    worker,
    subject: async (script, args) => {
      const name = script.replace('.ts', '');
      const path = join(root, 'bench', 'subjects', script);
      const subject = startSubject({ name, command: process.execPath, args: [path, ...args], folder });
      subjects.push(subject);
      return subject;
    },
    stop: async ({ keepFolder } = { keepFolder: false }) => {
      if (stopped) return;
      stopped = true;
      await Promise.all(subjects.map((subject) => subject.stop()));
      await api.stop();
      await worker.stop();
      await redis.stop();
      if (!keepFolder) await removeFolder();
    },
  };
}

/** Rows that workers have run, and those among them whose caller had no more use for the result. */
export async function wastedRows({ adminUrls }: System): Promise<{ run: number; wasted: number }> {
  const [api, worker] = await Promise.all(
    [adminUrls.api, adminUrls.worker].map(async (url) => (await fetch(`${url}/metrics`)).text()),
  );
  const run = sum(worker as string, /^millrace_run_rows_total\{.*\} (\d+)/gm);
  const inVain =
    sum(worker as string, /^millrace_expired_total\{.*stage="publish".*\} (\d+)/gm) +
    sum(api as string, /^millrace_expired_total\{.*stage="result".*\} (\d+)/gm);
  return { run, wasted: inVain };
}

function sum(metrics: string, sample: RegExp): number {
  return [...metrics.matchAll(sample)].reduce((total, [, value]) => total + Number(value), 0);
}

/** With a limit that is never met, so that the limiter has its work; the development key has none. */
async function limitedKey(home: string): Promise<string> {
  const keys = new SqliteKeyStore(join(home, 'keys.db'));
  const request = {
    name: 'bench',
    scopes: ['predict', 'batch'],
    environment: 'bench',
    expiresAtMs: null,
  } as const;
  const { key } = await issueKey(keys, { ...request, ratePerMinute: ratePerMinuteMax }, Date.now());
  await keys.close();
  return key;
}

const ratePerMinuteMax = 100_000_000;

async function wideModel(): Promise<{ name: string; bytes: Uint8Array; manifest: Manifest }> {
  const manifest = JSON.parse(await readFile(fixture('mlp-784-10.manifest.json'), 'utf8')) as Manifest;
  return { name: manifest.name, bytes: await readFile(fixture('mlp-784-10.onnx')), manifest };
}
