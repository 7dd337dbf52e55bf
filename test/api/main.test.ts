import { expect } from 'chai';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { issueKey } from '../../src/api/keys/issue-key.ts';
import { SqliteKeyStore } from '../../src/api/keys/sqlite-key-store.ts';
import { SqliteStore } from '../../src/registry/sqlite-store.ts';
import { wineVersion } from '../support/builders.ts';
import { freePort, startRedis } from '../support/redis-server.ts';
import type { TestRedis } from '../support/redis-server.ts';
import { startStackProcess } from '../support/stack-process.ts';
import type { StackProcess } from '../support/stack-process.ts';

describe('api process', function () {
  this.timeout(30_000);
  let home: string;
  let redis: TestRedis;
  let url: string;
  let key: string;
  let api: StackProcess;

  before(async () => {
    home = await mkdtemp(join(tmpdir(), 'millrace-api-'));
    const keys = new SqliteKeyStore(join(home, 'keys.db'));
    const wish = {
      name: 'a',
      scopes: ['predict', 'batch'],
      environment: 'test',
      ratePerMinute: null,
    } as const;
    key = (await issueKey(keys, { ...wish, expiresAtMs: null }, Date.now())).key;
    await keys.close();
    const store = new SqliteStore(join(home, 'registry.db'));
    await store.putVersion(wineVersion());
    await store.close();
    redis = await startRedis();
    await redis.kill();
    const port = await freePort();
    url = `http://127.0.0.1:${port}`;
    api = startStackProcess({
      name: 'api',
      script: 'src/api/main.ts',
      env: {
        PATH: process.env['PATH'],
        MILLRACE_HOME: home,
        MILLRACE_REDIS_URL: redis.url,
        MILLRACE_PORT: String(port),
        MILLRACE_API_ADMIN_PORT: String(await freePort()),
        MILLRACE_DRAIN_DELAY_MS: '0',
        MILLRACE_API_IN_FLIGHT_MAX: '1',
        MILLRACE_API_SATURATED_IN_FLIGHT_MIN: '1',
      },
    });
  });
  after(async () => {
    if (api.running) await api.kill('SIGKILL');
    await redis.stop();
    await rm(home, { recursive: true, force: true });
  });

  const predict = () =>
    fetch(`${url}/api/v1/predict`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'x-api-key': key },
      body: '{"inputs":[1,2,3,4,5]}',
    });

  it('starts without Redis, lives, says that it is not ready, and refuses at once', async () => {
    await api.logged(/listening on http/);
    expect((await fetch(`${url}/livez`)).status).to.equal(200);
    const ready = await fetch(`${url}/readyz`);
    expect(ready.status).to.equal(503);
    const { error } = (await ready.json()) as { error: { details: Record<string, boolean> } };
    expect(error.details).to.deep.equal({ redis: false, results: false, accepting: true });
    const health = await fetch(`${url}/api/v1/health`);
    expect(health.status).to.equal(503);
    expect(((await health.json()) as { status: string }).status).to.equal('unhealthy');
    expect((await predict()).status).to.equal(503);
  });

  it('joins the queue when Redis comes', async () => {
    await redis.restart();
    await api.logged(/the queue is joined/);
    expect((await fetch(`${url}/readyz`)).status).to.equal(200);
    const refused = await predict();
    expect(refused.status).to.equal(503);
    const { error } = (await refused.json()) as { error: { message: string } };
    expect(error.message).to.equal('No worker is there to serve the model');
  });

  it('takes predictions while uploads have all their places', async () => {
    const upload = request(`${url}/api/v1/batch`, {
      method: 'POST',
      headers: { 'content-type': 'application/x-ndjson', 'x-api-key': key, expect: '100-continue' },
    });
    upload.on('error', () => undefined);
    upload.flushHeaders();
    await once(upload, 'continue');
    const { error } = (await (await predict()).json()) as { error: { message: string } };
    expect(error.message).to.equal('No worker is there to serve the model');
    upload.destroy();
  });

  it('ends by itself at SIGTERM', async () => {
    await api.stop();
    expect(api.log).to.include('draining').and.not.include('by force');
  });
});
