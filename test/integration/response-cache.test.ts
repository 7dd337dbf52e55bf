import { expect } from 'chai';
import { until } from '../../src/dev/readiness.ts';
import type { Manifest } from '../../src/registry/manifest.ts';
import { startRedis } from '../support/redis-server.ts';
import type { TestRedis } from '../support/redis-server.ts';
import { startStack, useStack } from '../support/stack.ts';
import type { Stack } from '../support/stack.ts';
import { cacheKeys, untilExpired, withRedis } from './redis.ts';
import { Client, outputOf } from './client.ts';
import type { Answer } from './client.ts';
import { fixtureModels } from './fixture-models.ts';
import { isIdle, scrape, untilMetrics } from './metrics.ts';

/** Of things that take moments; within the timeout of a test. */
const timeout = () => AbortSignal.timeout(15_000);
const env = { MILLRACE_CACHE_TTL_MS: '60000' };

/** All of an answer but what may differ between two: ids and times. */
function comparable({ status, headers, body }: Answer): unknown {
  const { predictions, model_name, model_version } = body;
  expect(Object.keys(body)).to.have.length(4);
  return {
    status,
    version: headers['x-model-version'],
    model_name,
    model_version,
    predictions: predictions.map((prediction) => ({ ...prediction, id: '' })),
  };
}

function cacheOf({ status, headers, text }: Answer): string {
  expect(status, text).to.equal(200);
  return String(headers['x-cache']);
}

function withManifest(name: string, changes: Partial<Manifest>) {
  return fixtureModels(name).map((model) => ({ ...model, manifest: { ...model.manifest, ...changes } }));
}

describe('response cache', () => {
  const stack = useStack({
    apis: 2,
    env,
    models: [
      ...fixtureModels('nonce', 'two-in-two-out', 'identity-int64', 'identity-string', 'identity-float32'),
      ...fixtureModels('identity-float16', 'identity-bool', 'no-batch-reduce', 'mlp-5-3', 'gather-strict'),
      ...fixtureModels('slow-loop'),
      ...withManifest('identity-float64', { name: 'brief', cache: { ttl_s: 1 } }),
      ...withManifest('identity-float64', { name: 'never', cache: { ttl_s: 0 } }),
    ],
  });
  let clients: readonly Client[];
  let client: Client;
  before(() => {
    clients = stack().apis.map(({ url }) => new Client({ url, key: stack().key }));
    client = clients[0] as Client;
  });
  after(() => clients.forEach((each) => each.close()));

  async function runsOf(model: string): Promise<number> {
    return (await scrape(stack().workers[0]!)).sum('millrace_runs_total', { model });
  }

  /** An entry is inserted while its answer is on its way: it is there once both processes count it. */
  async function untilInserted(count: number): Promise<void> {
    await untilMetrics(
      stack().apis[0]!,
      (metrics) => metrics.sum('millrace_cache_inserts_total', { outcome: 'inserted' }) >= count,
    );
  }

  async function insertedSoFar(): Promise<number> {
    return (await scrape(stack().apis[0]!)).sum('millrace_cache_inserts_total', { outcome: 'inserted' });
  }

  /** Asked, kept, and asked again. */
  async function twice(model: string, inputs: unknown, parameters: object = {}): Promise<[Answer, Answer]> {
    const inserted = await insertedSoFar();
    const first = await client.predictWith(model, inputs, parameters);
    expect(cacheOf(first)).to.equal('miss');
    await untilInserted(inserted + 1);
    return [first, await client.predictWith(model, inputs, parameters)];
  }

  const inputs: readonly [model: string, inputs: unknown][] = [
    ['nonce', [7]],
    ['two-in-two-out', { a: [1.5, -2], b: [3] }],
    ['identity-int64', ['9223372036854775807', '-9223372036854775808', 1]],
    ['identity-string', ['', 'ä\u0000z', '𝄞']],
    ['identity-float32', ['NaN', '-Infinity', -0]],
    ['identity-float16', [0.1, 'NaN', 65_504]],
    ['identity-bool', [true, false, true]],
    [
      'no-batch-reduce',
      [
        [1, 2, 3, 4],
        [5, 6, 7, 8],
        [9, 10, 11, 12],
        [13, 14, 15, 16],
      ],
    ],
    ['mlp-5-3', [0.1, 0.2, 0.3, 0.4, 0.5]],
  ];
  for (const [model, instance] of inputs) {
    it(`answers ${model} from the cache as it was computed, with an id of its own and no wait`, async () => {
      const [first, second] = await twice(model, instance);
      expect(cacheOf(second)).to.equal('hit');
      expect(comparable(second)).to.deep.equal(comparable(first));
      expect(second.body.predictions[0]!.id).not.to.equal(first.body.predictions[0]!.id);
      expect(second.headers['server-timing']).to.match(/^queue;dur=0, inference;dur=0, total;dur=[\d.]+$/);
      expect(await runsOf(model)).to.equal(1);
    });
  }

  it('renders one entry as each request wants it', async () => {
    const instance = [5, 4, 3, 2, 1];
    const [plain] = await twice('mlp-5-3', instance);
    const full = await client.predictWith('mlp-5-3', instance, { return_probability: true, top_k: 2 });
    expect(cacheOf(full)).to.equal('hit');
    expect(full.body.predictions[0]).to.include.keys('probabilities', 'top_k');
    expect(plain.body.predictions[0]).not.to.have.any.keys('probabilities', 'top_k');
    const raw = { outputs: ['probabilities'] };
    expect(cacheOf(await client.predictWith('mlp-5-3', instance, raw))).to.equal('miss');
  });

  it('gives outputs in the order in which they are asked for, from one entry', async () => {
    const instance = { a: [1, 2], b: [4] };
    const [first] = await twice('two-in-two-out', instance, { outputs: ['sum', 'twice'] });
    const turned = await client.predictWith('two-in-two-out', instance, { outputs: ['twice', 'sum'] });
    expect(cacheOf(turned)).to.equal('hit');
    expect(JSON.stringify(outputOf(first))).to.equal('{"sum":[5,6],"twice":[8]}');
    expect(JSON.stringify(outputOf(turned))).to.equal('{"twice":[8],"sum":[5,6]}');
  });

  it('is shared by the API processes', async () => {
    const [first] = await twice('nonce', [11]);
    const other = await clients[1]!.predictWith('nonce', [11]);
    expect(cacheOf(other)).to.equal('hit');
    expect(comparable(other)).to.deep.equal(comparable(first));
  });

  it('tells 0 from -0, and different inputs from each other', async () => {
    await twice('nonce', [0]);
    expect(cacheOf(await client.predict('{"inputs":[-0.0],"parameters":{"model":"nonce"}}'))).to.equal(
      'miss',
    );
    expect(cacheOf(await client.predictWith('nonce', [0.5]))).to.equal('miss');
  });

  it('does not give the answer of one model for another', async () => {
    await twice('identity-float32', [1, 2, 3]);
    expect(cacheOf(await client.predictWith('identity-float16', [1, 2, 3]))).to.equal('miss');
  });

  for (const [how, parameters, headers] of [
    ['parameters.cache false', { cache: false }, {}],
    ['no-store', {}, { 'cache-control': 'no-store' }],
    ['no-store beside no-cache', {}, { 'cache-control': 'No-Cache, NO-STORE' }],
  ] as const) {
    it(`neither looks up nor inserts with ${how}`, async () => {
      const instance = [how.length * 1000];
      const runs = await runsOf('nonce');
      for (let i = 0; i < 2; i++)
        expect(cacheOf(await client.predictWith('nonce', instance, parameters, { headers }))).to.equal(
          'bypass',
        );
      expect(await runsOf('nonce')).to.equal(runs + 2);
      await twice('nonce', instance);
      expect(cacheOf(await client.predictWith('nonce', instance, parameters, { headers }))).to.equal(
        'bypass',
      );
    });
  }

  it('does not look up with no-cache, but keeps the result for others', async () => {
    const headers = { 'cache-control': 'no-cache' };
    const runs = await runsOf('nonce');
    const inserted = await insertedSoFar();
    for (let i = 1; i <= 2; i++) {
      expect(cacheOf(await client.predictWith('nonce', [21], {}, { headers }))).to.equal('miss');
      await untilInserted(inserted + i);
    }
    expect(cacheOf(await client.predictWith('nonce', [21]))).to.equal('hit');
    expect(await runsOf('nonce')).to.equal(runs + 2);
  });

  it('does not keep failures', async () => {
    for (let i = 0; i < 2; i++)
      expect((await client.predictWith('gather-strict', 99)).status).to.be.at.least(400);
    expect(await runsOf('gather-strict')).to.be.at.least(2);
  });

  it('forgets after the TTL of the manifest', async () => {
    const before = new Set(await cacheKeys(stack()));
    await client.predictWith('brief', [1, 2, 3]);
    await until(async () => (await cacheKeys(stack())).some((key) => !before.has(key)), timeout());
    const key = (await cacheKeys(stack())).find((each) => !before.has(each)) as string;
    expect(await withRedis(stack(), (redis) => redis.pttl(key))).to.be.within(1, 1000);
    await untilExpired(stack(), key);
    expect(cacheOf(await client.predictWith('brief', [1, 2, 3]))).to.equal('miss');
    expect(await runsOf('brief')).to.equal(2);
  });

  it('keeps nothing of a version whose TTL is 0', async () => {
    for (let i = 0; i < 2; i++)
      expect(cacheOf(await client.predictWith('never', [1, 2, 3]))).to.equal('bypass');
    expect(await runsOf('never')).to.equal(2);
  });

  it('takes a damaged entry, or one of another key, for a miss and says so', async () => {
    const [first] = await twice('nonce', [31]);
    const faults = async () =>
      (await scrape(stack().apis[0]!)).sum('millrace_faults_total', { component: 'response-cache' });
    await withRedis(stack(), async (redis) => {
      const keys = await cacheKeys(stack());
      const entries = await redis.mgetBuffer(keys);
      // Each entry under the key of its neighbour.
      await Promise.all(keys.map((key, i) => redis.set(key, entries[(i + 1) % keys.length]!, 'KEEPTTL')));
      const before = await faults();
      const inserted = await insertedSoFar();
      const again = await client.predictWith('nonce', [31]);
      expect(cacheOf(again)).to.equal('miss');
      expect(comparable(again)).to.deep.equal(comparable(first));
      expect(await faults()).to.equal(before + 1);
      await untilInserted(inserted + 1);
      expect(cacheOf(await client.predictWith('nonce', [31]))).to.equal('hit');
      for (const damaged of ['', 'nonsense', Buffer.alloc(64)]) {
        await Promise.all((await cacheKeys(stack())).map((key) => redis.set(key, damaged, 'KEEPTTL')));
        const refreshed = await twice('nonce', [31]);
        expect(refreshed.map(outputOf)).to.deep.equal([[94], [94]]);
      }
    });
  });

  it('runs 1,000 equal requests once that come while the first is on its way', async function () {
    this.timeout(30_000);
    // Two to three seconds in the run: long enough for all of them to arrive.
    const iterations = 100_000;
    const answers = await Promise.all(
      Array.from({ length: 1000 }, () => client.predictWith('slow-loop', iterations, { timeout_ms: 30_000 })),
    );
    expect(new Set(answers.map(outputOf))).to.deep.equal(new Set([iterations]));
    expect(new Set(answers.map(({ body }) => body.predictions[0]!.id)).size).to.equal(1000);
    expect(await runsOf('slow-loop')).to.equal(1);
    const metrics = await scrape(stack().apis[0]!);
    const joined = metrics.sum('millrace_single_flight_joins_total');
    const hits = answers.filter((answer) => cacheOf(answer) === 'hit').length;
    expect(joined).to.be.at.least(999 - hits);
    await untilMetrics(stack().apis[0]!, isIdle);
  });

  it('answers what it keeps while no worker lives', async () => {
    const [first] = await twice('nonce', [51]);
    await stack().workers[0]!.kill('SIGKILL');
    const uncached = { cache: false };
    await until(async () => (await client.predictWith('nonce', [51], uncached)).status === 503, timeout());
    const kept = await client.predictWith('nonce', [51]);
    expect(cacheOf(kept)).to.equal('hit');
    expect(comparable(kept)).to.deep.equal(comparable(first));
  });
});

describe('response cache of a Redis that is killed', () => {
  let redis: TestRedis;
  let stack: Stack;
  let client: Client;
  before(async function () {
    this.timeout(60_000);
    redis = await startRedis();
    stack = await startStack({ redis, env, models: fixtureModels('nonce') });
    client = new Client(stack);
  });
  afterEach(function () {
    if (this.currentTest?.state === 'failed') process.stderr.write(`${stack.logs()}\n`);
  });
  after(async function () {
    this.timeout(60_000);
    client.close();
    await stack.stop();
    await redis.stop();
  });

  it('gives no wrong answer, and serves hits again once it is back', async () => {
    const seen = new Map<number, number>();
    const caches = new Set<string>();
    let stopping = false;
    const caller = async (first: number) => {
      for (let i = first; !stopping; i++) {
        const x = i % 20;
        const answer = await client.predictWith('nonce', [x], { timeout_ms: 1000 });
        seen.set(answer.status, (seen.get(answer.status) ?? 0) + 1);
        if (answer.status !== 200) continue;
        caches.add(cacheOf(answer));
        expect(outputOf(answer)).to.deep.equal([3 * x + 1]);
      }
    };
    const callers = Promise.all([0, 5, 10, 15].map(caller));
    await until(async () => caches.has('hit'), timeout());
    await redis.kill();
    await until(async () => seen.has(503), timeout());
    await redis.restart();
    caches.clear();
    await until(async () => caches.has('hit'), timeout());
    stopping = true;
    await callers;
    expect([...seen.keys()].every((status) => [200, 503, 504].includes(status))).to.equal(true);
    await untilMetrics(stack.apis[0]!, isIdle);
  });
});
