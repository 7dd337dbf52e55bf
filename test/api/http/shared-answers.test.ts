import { expect } from 'chai';
import { channels } from '../../../src/channels.ts';
import type { CacheEvent } from '../../../src/channels.ts';
import type { CoalescedAnswer, CoalescerRequest } from '../../../src/queues/coalescer.ts';
import { MillraceError } from '../../../src/errors.ts';
import { wineVersion } from '../../support/builders.ts';
import { answerTo } from '../support/answering-coalescer.ts';
import { startTestApi } from '../support/test-api.ts';
import type { TestApi } from '../support/test-api.ts';

/** A submitted request that the test answers. */
interface OpenRequest {
  readonly request: CoalescerRequest;
  readonly resolve: (answer: CoalescedAnswer) => void;
  readonly reject: (error: unknown) => void;
}

const inputs = [1, 2, 3, 4, 5];

describe('equal requests on their way', () => {
  let api: TestApi;
  let open: OpenRequest[];
  let joined: number;
  const onCache = (event: unknown): void => {
    if ((event as CacheEvent).what === 'joined') joined += 1;
  };
  before(async () => {
    channels.cache.subscribe(onCache);
    const never = wineVersion();
    api = await startTestApi({
      ttlMs: 60_000,
      versions: [
        wineVersion(),
        { ...never, model: 'never', manifest: { ...never.manifest, name: 'never', cache: { ttl_s: 0 } } },
      ],
    });
  });
  after(async () => {
    channels.cache.unsubscribe(onCache);
    await api.close();
  });
  beforeEach(() => {
    open = [];
    joined = 0;
    api.coalescer.respond = (request) =>
      new Promise((resolve, reject) => {
        open.push({ request, resolve, reject });
      });
  });

  function ask(
    parameters: object = {},
    headers: Readonly<Record<string, string>> = {},
    signal?: AbortSignal,
  ) {
    return api.request('/api/v1/predict', {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...headers },
      body: JSON.stringify({ inputs, parameters }),
      ...(signal === undefined ? {} : { signal }),
    });
  }

  /** Resolves once so many requests have been submitted or have joined another. */
  async function atWork(count: number): Promise<void> {
    while (open.length + joined < count) await new Promise(setImmediate);
  }

  async function bodyOf(answer: Promise<Response>) {
    const response = await answer;
    const body = (await response.json()) as {
      readonly predictions?: readonly Record<string, unknown>[];
      readonly error?: { readonly code: string };
    };
    return { status: response.status, ...body };
  }

  it('are submitted once, and each is rendered for itself', async () => {
    const answers = [ask(), ask({ return_probability: true }), ask({ top_k: 1, timeout_ms: 30_000 })];
    await atWork(3);
    expect(open).to.have.length(1);
    open[0]!.resolve(answerTo(open[0]!.request));
    const [plain, full, top] = await Promise.all(answers.map(bodyOf));
    expect(Object.keys(plain!.predictions![0]!)).to.deep.equal(['id', 'output', 'score']);
    expect(Object.keys(full!.predictions![0]!)).to.deep.equal(['id', 'output', 'probabilities', 'score']);
    expect(top!.predictions![0]!['top_k']).to.deep.equal([{ label: 'class_1', score: 0.7 }]);
    expect(new Set([plain, full, top].map((body) => body!.predictions![0]!['id'])).size).to.equal(3);
  });

  it('have their own deadlines: one gets 504 alone', async () => {
    const answers = [ask({ timeout_ms: 50 }), ask({ timeout_ms: 30_000 })];
    await atWork(2);
    expect((await bodyOf(answers[0]!)).error?.code).to.equal('timeout');
    open.at(-1)!.resolve(answerTo(open.at(-1)!.request));
    expect(await bodyOf(answers[1]!)).to.include({ status: 200 });
  });

  it('fail together', async () => {
    const answers = [ask(), ask(), ask()];
    await atWork(3);
    open[0]!.reject(new MillraceError('internal_error'));
    const bodies = await Promise.all(answers.map(bodyOf));
    expect(bodies.map(({ error }) => error?.code)).to.deep.equal(Array(3).fill('internal_error'));
    expect(open).to.have.length(1);
  });

  it('lose nothing when the first of them leaves; the last one cancels', async () => {
    const [first, second] = [new AbortController(), new AbortController()];
    const left = [ask({}, {}, first.signal), ask({}, {}, second.signal)].map((answer) =>
      answer.catch(() => 'left'),
    );
    await atWork(2);
    const { signal } = open[0]!.request;
    first.abort();
    expect(await left[0]).to.equal('left');
    expect(signal?.aborted).to.equal(false);
    second.abort();
    while (signal?.aborted === false) await new Promise(setImmediate);
    open[0]!.reject(signal?.reason);
    expect(await left[1]).to.equal('left');
    while (api.admission.inFlight > 0) await new Promise(setImmediate);
  });

  for (const [what, parameters, headers] of [
    ['parameters.cache false', { cache: false }, {}],
    ['no-store', {}, { 'cache-control': 'no-store' }],
    ['no-cache', {}, { 'cache-control': 'no-cache' }],
    ['max-age=0', {}, { 'cache-control': 'private, max-age=0' }],
    ['a version whose TTL is 0', { model: 'never' }, {}],
  ] as const) {
    it(`are computed one by one with ${what}`, async () => {
      const answers = [ask(), ask(parameters, headers), ask(parameters, headers)];
      await atWork(3);
      expect(open).to.have.length(3);
      for (const { request, resolve } of open) resolve(answerTo(request));
      for (const { status } of await Promise.all(answers.map(bodyOf))) expect(status).to.equal(200);
    });
  }

  it('are joined with directives that say nothing of it', async () => {
    const answers = [ask(), ask({}, { 'cache-control': 'max-age=60, no-transform' })];
    await atWork(2);
    expect(open).to.have.length(1);
    open[0]!.resolve(answerTo(open[0]!.request));
    for (const { status } of await Promise.all(answers.map(bodyOf))) expect(status).to.equal(200);
  });

  it('were not long in the run when they joined at its end', async () => {
    const first = ask();
    await atWork(1);
    const late = ask();
    await atWork(2);
    const { request, resolve } = open[0]!;
    const answer = answerTo(request);
    resolve({
      ...answer,
      batchWaitMs: 1000,
      result: { ...answer.result, timings: { queueMs: 50_000, waitMs: 0, runMs: 100_000 } },
    });
    const timings = (await late).headers.get('server-timing') ?? '';
    const [queue = 0, inference = 0, total = 0] = [...timings.matchAll(/dur=([\d.]+)/g)].map(([, ms]) =>
      Number(ms),
    );
    expect(queue + inference).to.be.at.most(total);
    expect((await first).headers.get('server-timing')).to.match(/inference;dur=100000,/);
  });
});
