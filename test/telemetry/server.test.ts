import { expect } from 'chai';
import { channels } from '../../src/channels.ts';
import type { NoticeEvent } from '../../src/channels.ts';
import { startMetrics } from '../../src/telemetry/metrics.ts';
import type { Metrics } from '../../src/telemetry/metrics.ts';
import { startAdminServer } from '../../src/telemetry/server.ts';
import type { AdminServer } from '../../src/telemetry/server.ts';

describe('admin server', () => {
  let metrics: Metrics;
  let server: AdminServer;
  let unready: string | undefined;

  beforeEach(async () => {
    metrics = startMetrics({ serviceName: 'millrace-test', processMetrics: false });
    unready = undefined;
    server = await startAdminServer({ host: '127.0.0.1', port: 0, metrics, unreadyReason: () => unready });
  });

  afterEach(async () => {
    await server.close();
    metrics.stop();
  });

  async function get(path: string, method = 'GET'): Promise<{ response: Response; text: string }> {
    const response = await fetch(`http://127.0.0.1:${server.port}${path}`, { method });
    return { response, text: await response.text() };
  }

  it('serves the metrics as Prometheus reads them', async () => {
    const { response, text } = await get('/metrics');
    expect(response.status).to.equal(200);
    expect(response.headers.get('content-type')).to.equal('text/plain; version=0.0.4; charset=utf-8');
    expect(text).to.include('# TYPE millrace_requests_total counter');
  });

  it('is alive, ready or not', async () => {
    unready = 'redis';
    expect((await get('/livez')).response.status).to.equal(200);
  });

  it('is ready until there is a reason not to be, and names it', async () => {
    expect(await get('/readyz')).to.deep.include({ text: 'ok\n' });
    unready = 'draining';
    const { response, text } = await get('/readyz?verbose');
    expect(response.status).to.equal(503);
    expect(JSON.parse(text)).to.have.nested.include({
      'error.code': 'service_unavailable',
      'error.details': 'draining',
    });
  });

  it('answers HEAD without a body', async () => {
    const { response, text } = await get('/readyz', 'HEAD');
    expect([response.status, text]).to.deep.equal([200, '']);
  });

  const refusals: readonly [string, string, number, string][] = [
    ['GET', '/', 404, 'not_found'],
    ['GET', '/metrics/', 404, 'not_found'],
    ['POST', '/metrics', 405, 'method_not_allowed'],
    ['DELETE', '/livez', 405, 'method_not_allowed'],
  ];
  for (const [method, path, status, code] of refusals)
    it(`refuses ${method} ${path} in the envelope`, async () => {
      const { response, text } = await get(path, method);
      expect(response.status).to.equal(status);
      expect(response.headers.get('content-type')).to.equal('application/json');
      expect(response.headers.get('allow')).to.equal(status === 405 ? 'GET, HEAD' : null);
      const { error } = JSON.parse(text) as { error: Record<string, unknown> };
      expect(error).to.have.all.keys('code', 'message', 'details', 'request_id').and.include({ code });
    });

  it('shows a fault of its own as 500, without a word about it, and goes on', async () => {
    metrics.text = () => Promise.reject(new Error('a secret'));
    const { response, text } = await get('/metrics');
    expect(response.status).to.equal(500);
    expect(text).to.include('internal_error').and.not.include('secret');
    expect((await get('/livez')).response.status).to.equal(200);
  });

  it('takes any free port, with a notice, when its own is taken', async () => {
    const notices: NoticeEvent[] = [];
    const listener = (event: unknown): number => notices.push(event as NoticeEvent);
    channels.notice.subscribe(listener);
    const second = await startAdminServer({
      host: '127.0.0.1',
      port: server.port,
      metrics,
      unreadyReason: () => undefined,
    });
    channels.notice.unsubscribe(listener);
    expect(second.port).to.not.equal(server.port);
    await second.close();
    expect(notices.map(({ message }) => message)).to.deep.equal([
      `port ${server.port} is taken: any free one is used instead`,
      `listening on 127.0.0.1:${second.port}`,
    ]);
  });

  it('says what is wrong with an address that is not here', async () => {
    const options = { host: '192.0.2.1', port: 0, metrics, unreadyReason: () => undefined };
    const error = await startAdminServer(options).catch((caught: NodeJS.ErrnoException) => caught);
    expect(error).to.include({ code: 'EADDRNOTAVAIL' });
  });
});
