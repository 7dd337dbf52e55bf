import { once } from 'node:events';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { expect } from 'chai';
import { AddressGuard } from '../../../src/api/webhooks/address-guard.ts';
import { WebhookSender } from '../../../src/api/webhooks/webhook-sender.ts';
import type { Attempt, ResolveName, WebhookSenderOptions } from '../../../src/api/webhooks/webhook-sender.ts';
import { freePort } from '../../support/redis-server.ts';
import { answering, startReceiver } from './support/receiver.ts';
import type { Receiver } from './support/receiver.ts';

/** Stands for what is public here; 127.0.0.2 stands for what is not. */
const guard = new AddressGuard({ allowedNetworks: '127.0.0.1', allowedPorts: '443' });
const never = new AbortController().signal;
const nowMs = Date.UTC(2026, 0, 1);

function sender(options: Partial<WebhookSenderOptions> = {}): WebhookSender {
  return new WebhookSender({ guard, timeoutMs: 10_000, now: () => nowMs, ...options });
}

function post(url: string, options: Partial<WebhookSenderOptions> = {}): Promise<Attempt> {
  return sender(options).post(url, { 'webhook-id': 'batch_1' }, '{"id":"batch_1"}', never);
}

function resolvingTo(...addresses: readonly string[]): ResolveName {
  return (_name, done) =>
    done(
      null,
      addresses.map((address) => ({ address, family: address.includes(':') ? 6 : 4 })),
    );
}

describe('sending a webhook', () => {
  let receiver: Receiver;
  beforeEach(async () => {
    receiver = await startReceiver();
  });
  afterEach(() => receiver.close());

  it('POSTs body and headers, and leaves', async () => {
    expect(await post(receiver.url)).to.deep.equal({ status: 204, error: null, retryAfterMs: null });
    const [{ method, url, headers, body } = { method: '', url: '', headers: {}, body: '' }] =
      receiver.received;
    expect([method, url, body]).to.deep.equal(['POST', '/hook', '{"id":"batch_1"}']);
    expect(headers).to.include({ 'webhook-id': 'batch_1', connection: 'close' });
  });

  for (const [status, error] of [
    [200, null],
    [202, null],
    [301, 'redirect'],
    [304, 'redirect'],
    [307, 'redirect'],
    [400, 'bad_status'],
    [410, 'gone'],
    [429, 'bad_status'],
    [500, 'bad_status'],
    [503, 'bad_status'],
  ] as const)
    it(`takes ${status} for ${error ?? 'a delivery'}`, async () => {
      receiver.respond = answering(status);
      expect(await post(receiver.url)).to.deep.equal({ status, error, retryAfterMs: null });
    });

  it('follows no redirect', async () => {
    const inner = await startReceiver('127.0.0.1');
    receiver.respond = answering(307, { location: inner.url });
    expect(await post(receiver.url)).to.include({ status: 307, error: 'redirect' });
    expect(inner.connectionCount).to.equal(0);
    await inner.close();
  });

  for (const [header, ms] of [
    ['120', 120_000],
    ['0', 0],
    ['999999999', 21_600_000],
    ['Thu, 01 Jan 2026 00:01:00 GMT', 60_000],
    ['Wed, 31 Dec 2025 00:00:00 GMT', 0],
    ['soon', null],
  ] as const)
    it(`reads Retry-After: ${header}`, async () => {
      receiver.respond = answering(503, { 'retry-after': header });
      expect(await post(receiver.url)).to.have.property('retryAfterMs', ms);
    });

  it('waits no longer than its time for an answer', async () => {
    receiver.respond = () => undefined;
    expect(await post(receiver.url, { timeoutMs: 100 })).to.deep.equal({
      status: null,
      error: 'timeout',
      retryAfterMs: null,
    });
  });

  it('has delivered once the status is there, however slow the rest is', async () => {
    receiver.respond = (response) => void response.writeHead(200).write('{');
    expect(await post(receiver.url, { timeoutMs: 100 })).to.include({ status: 200, error: null });
  });

  it('reads little of a huge answer, and cuts it', async () => {
    let sentBytes = 0;
    const cut = new Promise<void>((resolve) => {
      receiver.respond = (response) => {
        const chunk = Buffer.alloc(65_536);
        response.writeHead(200);
        const more = (): void => {
          sentBytes += chunk.length;
          response.write(chunk, more);
        };
        response.on('error', () => undefined).once('close', resolve);
        more();
      };
    });
    expect(await post(receiver.url)).to.include({ status: 200, error: null });
    await cut;
    // What the sockets of both sides hold, and not a gigabyte.
    expect(sentBytes).to.be.below(64 * 1024 * 1024);
  });

  it('fails with a receiver that is down', async () => {
    const url = `http://127.0.0.1:${await freePort()}/`;
    expect(await post(url)).to.deep.equal({ status: null, error: 'connection_failed', retryAfterMs: null });
  });

  it('fails with a receiver that hangs up', async () => {
    receiver.respond = (_response, request) => void request.socket.destroy();
    expect(await post(receiver.url)).to.include({ status: null, error: 'connection_failed' });
  });

  it('fails with one that does not speak HTTP, or not TLS', async () => {
    const server = createServer((socket) => {
      socket.on('error', () => undefined).resume();
      socket.end('SSH-2.0-OpenSSH_9.2p1\r\n');
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    expect(await post(`http://127.0.0.1:${port}/`)).to.include({ status: null, error: 'bad_answer' });
    expect(await post(`https://127.0.0.1:${port}/`)).to.include({ status: null, error: 'tls_failed' });
    server.close();
    await once(server, 'close');
  });

  it('fails with one that switches to another protocol', async () => {
    const head = 'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n';
    const server = createServer((socket) => socket.once('data', () => socket.write(head)));
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    expect(await post(`http://127.0.0.1:${port}/`)).to.include({ status: null, error: 'connection_failed' });
    server.close();
    await once(server, 'close');
  });

  it('fails with a name that nobody has', async () => {
    const resolve: ResolveName = (_name, done) => done(Object.assign(new Error(), { code: 'ENOTFOUND' }), []);
    expect(await post('http://nobody.example/', { resolve })).to.include({ error: 'name_not_found' });
  });

  it('goes where the name leads, with the name in Host', async () => {
    const url = `http://receiver.example:${receiver.port}/`;
    expect(await post(url, { resolve: resolvingTo('127.0.0.1') })).to.include({ status: 204 });
    expect(receiver.received[0]!.headers.host).to.equal(`receiver.example:${receiver.port}`);
  });

  describe('to an address that is not allowed', () => {
    let inner: Receiver;
    beforeEach(async () => {
      inner = await startReceiver('127.0.0.2', receiver.port);
    });
    afterEach(async () => {
      expect(inner.connectionCount).to.equal(0);
      await inner.close();
    });

    const refused = { status: null, error: 'address_refused', retryAfterMs: null };

    it('makes no connection when it stands in the URL', async () => {
      expect(await post(inner.url)).to.deep.equal(refused);
    });

    it('makes none when a name leads there', async () => {
      const url = `http://receiver.example:${receiver.port}/`;
      expect(await post(url, { resolve: resolvingTo('127.0.0.2') })).to.deep.equal(refused);
    });

    it('makes none when one of several addresses leads there', async () => {
      const url = `http://receiver.example:${receiver.port}/`;
      // oxlint-disable-next-line no-await-in-loop
      for (const addresses of [
        ['127.0.0.1', '127.0.0.2'],
        ['127.0.0.2', '127.0.0.1'],
        ['127.0.0.1', '::ffff:127.0.0.2'],
      ])
        expect(await post(url, { resolve: resolvingTo(...addresses) })).to.deep.equal(refused);
      expect(receiver.connectionCount).to.equal(0);
    });

    it('makes none when the name led elsewhere before', async () => {
      const answers = ['127.0.0.1', '127.0.0.2'];
      const resolve: ResolveName = (name, done) => resolvingTo(answers.shift()!)(name, done);
      const rebinding = sender({ resolve });
      const url = `http://receiver.example:${receiver.port}/`;
      const send = () => rebinding.post(url, {}, '{}', never);
      expect(await send()).to.include({ status: 204 });
      expect(await send()).to.deep.equal(refused);
    });
  });

  it('writes nothing to an address that is found not to be allowed once the connection stands', async () => {
    let looks = 0;
    // Allowed when the name is looked up, not when the connection is.
    const changing = { allows: () => ++looks === 1 };
    const url = `http://receiver.example:${receiver.port}/`;
    const attempt = await post(url, { guard: changing, resolve: resolvingTo('127.0.0.1') });
    expect(attempt).to.include({ status: null, error: 'address_refused' });
    expect(looks).to.equal(2);
    expect(receiver.received).to.deep.equal([]);
  });

  it('ends when it is called off', async () => {
    receiver.respond = () => undefined;
    const calledOff = new AbortController();
    const attempt = sender().post(receiver.url, {}, '{}', calledOff.signal);
    await receiver.has(1);
    calledOff.abort();
    expect(await attempt).to.include({ status: null });
  });
});
