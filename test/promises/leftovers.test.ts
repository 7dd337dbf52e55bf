import { readdirSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { constants, gzipSync } from 'node:zlib';
import { expect } from 'chai';
import { until } from '../../src/dev/readiness.ts';
import { isIdle, untilMetrics } from '../integration/metrics.ts';
import { untilQueuesAreEmpty, withRedis } from '../integration/redis.ts';
import { BatchClient } from './support/batch-client.ts';
import { linesOf, nonceRows, problemOf } from './support/known-rows.ts';
import { openUpload } from './support/open-upload.ts';
import type { OpenUpload } from './support/open-upload.ts';
import { useHarmable } from './support/promise-stack.ts';
import { lasting, sized } from './support/schedule.ts';

/** Of each kind, at once. */
const count = sized(5, 100);
const rowsSent = 1000;
const giveUpMs = 60_000;
/** Connections of this process that are kept alive, below what uploads would leave. */
const spareHandles = 4;

/** All short, so that what is to be gone is gone soon; in Redis a batch keeps its books alone, in files the rest. */
const env = {
  MILLRACE_BATCH_UPLOAD_IDLE_MS: '1500',
  MILLRACE_BATCH_UPLOAD_LEASE_MS: '2000',
  MILLRACE_BATCH_RETENTION_MS: '5000',
  MILLRACE_BATCH_SWEEP_MS: '200',
  MILLRACE_BATCH_REDIS_BYTES_MAX: '0',
  MILLRACE_BATCH_CHUNK_ROWS_MAX: '100',
};

const formats = ['ndjson', 'csv', 'gzip'] as const;
const lines = linesOf(nonceRows, 1, rowsSent).join('');
const bodies = {
  ndjson: lines,
  csv: `x\n${lines.replaceAll(/[[\]]/g, '')}`,
  // All of it comes out, but not the end.
  gzip: gzipSync(lines, { finishFlush: constants.Z_SYNC_FLUSH }),
};

describe('batches that nobody wants any more', () => {
  const harmable = useHarmable({ env });
  let client: BatchClient;
  let expired: string;
  let known: readonly string[];
  let handlesBefore: number;

  before(async function () {
    this.timeout(giveUpMs);
    client = new BatchClient(harmable().stack, 10 * giveUpMs);
    known = await keysAndFiles();
    const batch = await client.submit({ model: 'nonce', lines: linesOf(nonceRows, 0, rowsSent) });
    expired = batch.id;
    await client.ended(expired);
    expect(problemOf(nonceRows, 0, rowsSent, await client.results(expired))).to.equal(undefined);
    handlesBefore = handleCount();
  });

  it('have failed with a reason where their uploads came at 3 bytes a second, stopped half-way or vanished', async function () {
    this.timeout(3 * giveUpMs);
    const { uploads, ids } = await open(3 * count);
    const [slow, stopped, vanishing] = [0, 1, 2].map((kind) =>
      uploads.filter((_, place) => place % 3 === kind),
    );
    const ended = endsOf(ids);
    for (const upload of vanishing!) upload.vanish();
    const trickling = slow!.map(trickle);
    const answers = await Promise.all([...slow!, ...stopped!].map(({ answer }) => answer));
    await Promise.all(trickling);
    expect(new Set(answers.map((answer) => answer?.status))).to.deep.equal(new Set([408]));
    // A machine that is very busy may find one too slow before it vanishes.
    const ends = tally(await ended);
    expect(ends['failed request_timeout']).to.be.at.least(2 * count);
    expect((ends['failed request_timeout'] ?? 0) + (ends['failed invalid_input'] ?? 0)).to.equal(3 * count);
  });

  it('have failed with a reason where the API process of their uploads was killed', async function () {
    this.timeout(3 * giveUpMs);
    const { uploads, ids } = await open(count);
    const ended = endsOf(ids);
    const [api] = harmable().stack.apis;
    await api!.kill('SIGKILL');
    api!.start();
    await api!.ready();
    const answers = await Promise.all(uploads.map(({ answer }) => answer));
    expect(new Set(answers)).to.deep.equal(new Set([undefined]));
    expect(tally(await ended)).to.deep.equal({ 'failed request_timeout': count });
  });

  it('leave nothing: no key, no file, no connection, no permit', async function () {
    this.timeout(3 * giveUpMs);
    const { stack } = harmable();
    await untilForgotten();
    await untilMetrics(stack.apis[0]!, isIdle);
    await untilQueuesAreEmpty(stack);
    await until(async () => handleCount() <= handlesBefore + spareHandles, AbortSignal.timeout(giveUpMs));
    let left: readonly string[] = [];
    await until(async () => {
      left = (await keysAndFiles()).filter((name) => !known.includes(name));
      return left.length === 0;
    }, AbortSignal.timeout(giveUpMs)).catch(() => undefined);
    expect(left).to.deep.equal([]);
  });

  it('are 404 once they have expired, and told that they have', async () => {
    const { url, key } = harmable().stack;
    for (const path of [`/api/v1/batch/${expired}`, `/api/v1/batch/${expired}/results`]) {
      // oxlint-disable-next-line no-await-in-loop
      const response = await fetch(url + path, { headers: { 'x-api-key': key } });
      expect(response.status).to.equal(404);
      // oxlint-disable-next-line no-await-in-loop
      expect(await response.text()).to.include('have expired');
    }
  });

  /** Uploads whose batches have begun to run, and these. */
  async function open(
    uploadCount: number,
  ): Promise<{ readonly uploads: readonly OpenUpload[]; readonly ids: readonly string[] }> {
    const earlier = new Set((await client.list()).map(({ id }) => id));
    const uploads = Array.from({ length: uploadCount }, (_, place) => {
      // Of each kind of three some are in each format; what is sent byte by byte is not compressed.
      const format = place % 3 === 0 ? 'ndjson' : formats[Math.floor(place / 3) % formats.length]!;
      const upload = openUpload(harmable().stack, 'nonce', format);
      upload.send(bodies[format]);
      return upload;
    });
    // Some may have ended already, with many on a busy machine, but none is forgotten.
    const begun = new Set<string>();
    await until(async () => {
      for (const { id, started_at: startedAt } of await client.list())
        if (startedAt !== null && !earlier.has(id)) begun.add(id);
      return begun.size === uploadCount;
    }, AbortSignal.timeout(giveUpMs));
    return { uploads, ids: [...begun] };
  }

  /** One byte after the other, of a line that would be right. */
  async function trickle(upload: OpenUpload): Promise<void> {
    for (let place = 0; !upload.isAnswered; place++) {
      upload.send('[1]\n'[place % 4]!);
      // oxlint-disable-next-line no-await-in-loop
      await lasting(333);
    }
  }

  /** Status and reason of each batch, before it is forgotten. */
  async function endsOf(ids: readonly string[]): Promise<readonly string[]> {
    const ends = new Map<string, string>();
    await until(async () => {
      for (const { id, status, finished_at: finishedAt, error } of await client.list())
        if (finishedAt !== null && ids.includes(id)) ends.set(id, `${status} ${error?.code}`);
      return ends.size === ids.length;
    }, AbortSignal.timeout(giveUpMs));
    return [...ends.values()];
  }

  /** Sockets and files that the processes have open. Linux only. */
  function handleCount(): number {
    const { apis, workers } = harmable().stack;
    const counts = [...apis, ...workers].map(({ pid }) => readdirSync(`/proc/${pid}/fd`).length);
    return counts.reduce((sum, handles) => sum + handles, 0);
  }

  /** But for the names of batches, which are kept for those who ask late, workers, and what a lane and its pool have of their own. */
  async function keysAndFiles(): Promise<readonly string[]> {
    const { stack } = harmable();
    const keys = await withRedis(stack, (redis) => redis.keys(`{${stack.redisPrefix}}:*`));
    const entries = await readdir(join(stack.home, 'artifacts'), { recursive: true, withFileTypes: true });
    const files = entries.filter((entry) => entry.isFile()).map(({ name }) => name);
    return [
      ...keys.filter((key) => !/:ended$|:turn$|:workers?\b|:default\.\w+:[a-z-]+$/.test(key)),
      ...files,
    ];
  }

  async function untilForgotten(): Promise<void> {
    await until(async () => (await client.list()).length === 0, AbortSignal.timeout(giveUpMs));
  }
});

function tally(names: readonly string[]): Readonly<Record<string, number>> {
  const counts: Record<string, number> = {};
  for (const name of names) counts[name] = (counts[name] ?? 0) + 1;
  return counts;
}
