import { expect } from 'chai';
import { channels } from '../../../src/channels.ts';
import { jsonAnswer, jsonType } from '../../../src/api/http/answer.ts';
import { MillraceError } from '../../../src/errors.ts';
import type { Route } from '../../../src/api/http/route-table.ts';
import { MemoryLedger } from '../support/memory-ledger.ts';
import { sendRaw } from '../support/raw-client.ts';
import { startTestApi } from '../support/test-api.ts';
import type { TestApi, TestApiOptions } from '../support/test-api.ts';

/** Until there are calls of the kind, two of the test's own. */
const writing: Route = {
  method: 'POST',
  template: '/test/write',
  scope: 'models:write',
  produces: jsonType,
  query: [],
  handler: () => jsonAnswer(200, {}),
};
const administering: Route = { ...writing, template: '/test/admin', scope: 'admin' };

describe('rate limits', () => {
  const limits = { anonymous: 20, default: 100, sensitive: 10 };
  let api: TestApi;
  let ledger: MemoryLedger;

  async function start(options: TestApiOptions = {}): Promise<void> {
    ledger = new MemoryLedger(1_000_300, 1000);
    api = await startTestApi({ limits, ledger, routes: [writing, administering], ...options });
  }
  afterEach(() => api.close());

  async function statuses(count: number, ask: (index: number) => Promise<Response>): Promise<string> {
    const counts = new Map<number, number>();
    for (let index = 0; index < count; index++) {
      const response = await ask(index);
      await response.arrayBuffer();
      counts.set(response.status, (counts.get(response.status) ?? 0) + 1);
    }
    return [...counts].map(([status, times]) => `${times} × ${status}`).join(', ');
  }
  const get = (path: string, headers: Record<string, string> = {}) => fetch(`${api.url}${path}`, { headers });
  const post = (path: string, key: string) =>
    fetch(`${api.url}${path}`, { method: 'POST', headers: { 'x-api-key': key } });

  it('allows a key the general limit, each key its own', async () => {
    await start();
    const [one, two] = [await api.keyWith(['models:read']), await api.keyWith(['models:read'])];
    const models = (key: string) => () => get('/api/v1/models', { 'x-api-key': key });
    expect(await statuses(110, models(one))).to.equal('100 × 200, 10 × 429');
    expect(await statuses(10, models(two))).to.equal('10 × 200');
  });

  it('puts the limit of a key in place of the general one, and 0 in place of any', async () => {
    await start();
    const few = await api.keyWith(['models:read', 'models:write'], 5);
    const many = await api.keyWith(['admin'], 0);
    expect(await statuses(8, () => get('/api/v1/models', { 'x-api-key': few }))).to.equal('5 × 200, 3 × 429');
    expect(await statuses(120, () => get('/api/v1/models', { 'x-api-key': many }))).to.equal('120 × 200');
    expect(await statuses(20, () => post('/test/admin', many))).to.equal('20 × 200');
    const { headers } = await get('/api/v1/models', { 'x-api-key': many });
    expect(headers.has('ratelimit')).to.equal(false);
    expect(headers.has('ratelimit-policy')).to.equal(false);
  });

  it('allows little of what is sensitive, beside the general limit', async () => {
    await start();
    const key = await api.keyWith(['admin']);
    expect(await statuses(7, () => post('/test/write', key))).to.equal('7 × 200');
    expect(await statuses(7, () => post('/test/admin', key))).to.equal('3 × 200, 4 × 429');
    expect(await statuses(10, () => get('/api/v1/models', { 'x-api-key': key }))).to.equal('10 × 200');
  });

  it('says on every limited answer what is left, and on a refusal when to come again', async () => {
    await start();
    const key = await api.keyWith(['models:read'], 2);
    const answers = [];
    for (const path of ['/api/v1/models', '/api/v1/models/none', '/api/v1/models'])
      answers.push(await get(path, { 'x-api-key': key }));
    expect(answers.map(({ status }) => status)).to.deep.equal([200, 404, 429]);
    for (const [index, { headers }] of answers.entries()) {
      expect(headers.get('ratelimit-policy')).to.equal('"default";q=2;w=60');
      expect(headers.get('ratelimit')).to.match(new RegExp(`^"default";r=${[1, 0, 0][index]};t=6[12]$`));
    }
    const refused = answers[2]!;
    expect(refused.headers.get('ratelimit')).to.equal(
      `"default";r=0;t=${refused.headers.get('retry-after')}`,
    );
    const { error } = (await refused.json()) as { error: { code: string } };
    expect(error.code).to.equal('rate_limit_exceeded');
    const forbidden = await post('/test/admin', key);
    expect([forbidden.status, forbidden.headers.get('ratelimit')]).to.deep.equal([
      403,
      '"sensitive";r=9;t=62',
    ]);
  });

  it('counts callers without a key by address, and never those who probe', async () => {
    await start();
    expect(await statuses(25, () => get('/api/v1/openapi.json'))).to.equal('20 × 200, 5 × 429');
    const { headers } = await get('/docs');
    expect(headers.get('ratelimit-policy')).to.equal('"anonymous";q=20;w=60');
    for (const path of ['/livez', '/readyz', '/api/v1/health', '/docs/assets/page.js']) {
      expect(await statuses(25, () => get(path)), path).to.equal('25 × 200');
      expect((await get(path)).headers.has('ratelimit')).to.equal(false);
    }
    const options = () => fetch(`${api.url}/api/v1/openapi.json`, { method: 'OPTIONS' });
    expect(await statuses(5, options)).to.equal('5 × 204');
  });

  it('bounds the guesses of an address, and looks nothing up beyond', async () => {
    await start();
    const right = await api.keyWith(['models:read']);
    const guess = (index: number) => {
      const end = index.toString(36).padStart(4, '0');
      return get('/api/v1/models', { 'x-api-key': right.slice(0, -4) + end });
    };
    expect(await statuses(30, guess)).to.equal('20 × 401, 10 × 429');
    const missing = await get('/api/v1/models');
    expect(missing.status).to.equal(429);
    const unseen = await get('/api/v1/models', { 'x-api-key': right });
    expect(unseen.status).to.equal(429);
  });

  it('bounds guesses that come all at once, with one wrong key or with many', async () => {
    await start();
    const ask = (key: string) => get('/api/v1/models', { 'x-api-key': key });
    const asked = await Promise.all(
      Array.from({ length: 60 }, (_, each) => ask(`wrong-${each % 2 ? 1 : each}`)),
    );
    expect(asked.filter(({ status }) => status === 401)).to.have.length(20);
    expect(asked.filter(({ status }) => status === 429)).to.have.length(40);
  });

  it('costs a right key nothing of its address, also when many come at once', async () => {
    await start();
    const keys = await Promise.all(Array.from({ length: 15 }, () => api.keyWith(['models:read'])));
    for (let round = 0; round < 3; round++) {
      const asked = keys.flatMap((key) => [1, 2, 3].map(() => get('/api/v1/models', { 'x-api-key': key })));
      for (const { status } of await Promise.all(asked)) expect(status).to.equal(200);
    }
    expect(await statuses(25, () => get('/api/v1/openapi.json'))).to.equal('20 × 200, 5 × 429');
  });

  it('costs no key its token when the keys are out of reach', async () => {
    await start();
    const key = await api.keyWith(['models:read']);
    const { keys } = api;
    const look = keys.get.bind(keys);
    keys.get = () => Promise.reject(new MillraceError('service_unavailable'));
    expect(await statuses(30, () => get('/api/v1/models', { 'x-api-key': key }))).to.equal('30 × 503');
    keys.get = look;
    expect((await get('/api/v1/models', { 'x-api-key': key })).status).to.equal(200);
  });

  it('does not lock out who is known because of a neighbour who guesses', async () => {
    await start();
    const key = await api.keyWith(['models:read']);
    expect((await get('/api/v1/models', { 'x-api-key': key })).status).to.equal(200);
    expect(await statuses(25, (index) => get('/api/v1/models', { 'x-api-key': `no-${index}` }))).to.equal(
      '20 × 401, 5 × 429',
    );
    expect((await get('/api/v1/models', { 'x-api-key': key })).status).to.equal(200);
  });

  it('cannot be told another address by a caller', async () => {
    await start();
    const claims = (index: number): Record<string, string> => {
      const made = `203.0.113.${index}`;
      const names = ['X-Forwarded-For', 'x-forwarded-for', 'Forwarded', 'X-Real-IP', 'True-Client-IP'];
      return {
        ...Object.fromEntries(names.map((name) => [name, name === 'Forwarded' ? `for=${made}` : made])),
        'CF-Connecting-IP': made,
        'X-Client-IP': made,
        Via: `1.1 ${made}`,
      };
    };
    expect(await statuses(25, (index) => get('/docs', claims(index)))).to.equal('20 × 200, 5 × 429');
    const hosts = await Promise.all(
      [1, 2, 3].map((each) => sendRaw(api.port, `GET /docs HTTP/1.1\r\nHost: h${each}.test\r\n\r\n`)),
    );
    expect(hosts.map(({ status }) => status)).to.deep.equal([429, 429, 429]);
  });

  it('knows callers apart behind a proxy that is trusted', async () => {
    await start({ trustedProxies: '127.0.0.0/8' });
    const from = (client: string) => (index: number) =>
      get('/docs', { 'x-forwarded-for': `198.51.100.${index}, ${client}` });
    expect(await statuses(25, from('203.0.113.1'))).to.equal('20 × 200, 5 × 429');
    expect(await statuses(25, from('203.0.113.2'))).to.equal('20 × 200, 5 × 429');
    const wide = (index: number) => get('/docs', { 'x-forwarded-for': `2001:db8::${index.toString(16)}` });
    expect(await statuses(25, wide)).to.equal('20 × 200, 5 × 429');
  });

  it('refuses before the body is read, and tells of it', async () => {
    await start();
    const key = await api.keyWith(['predict'], 1);
    const events: unknown[] = [];
    const listen = (event: unknown) => events.push(event);
    channels.limit.subscribe(listen);
    const head = `POST /api/v1/predict HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nX-API-Key: ${key}\r\n`;
    const body = '{"inputs":[1,2,3,4,5]}';
    expect((await sendRaw(api.port, `${head}Content-Length: ${body.length}\r\n\r\n${body}`)).status).to.equal(
      200,
    );
    const refused = await sendRaw(api.port, `${head}Content-Length: 60000\r\nExpect: 100-continue\r\n\r\n`);
    channels.limit.unsubscribe(listen);
    expect(refused.status).to.equal(429);
    expect(events).to.deep.include({ change: 'refused', rateClass: 'default' });
    expect(api.admission.inFlight).to.equal(0);
  });

  it('limits in memory when there is no Redis, and never with an error', async () => {
    await start();
    ledger.before = () => {
      throw new Error('gone');
    };
    const key = await api.keyWith(['models:read']);
    expect(await statuses(110, () => get('/api/v1/models', { 'x-api-key': key }))).to.equal(
      '100 × 200, 10 × 429',
    );
  });
});
