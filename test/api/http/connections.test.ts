import { expect } from 'chai';
import { once } from 'node:events';
import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { answerTo } from '../support/answering-coalescer.ts';
import { readResponse, sendRaw } from '../support/raw-client.ts';
import { useRequestEvents } from '../support/request-events.ts';
import { startTestApi, useTestApi } from '../support/test-api.ts';

const body = '{"inputs":[1,2,3,4,5]}';

function predictBytes(key: string, lines: readonly string[] = [], content = body): string {
  const head = [
    'POST /api/v1/predict HTTP/1.1',
    'Host: a',
    `X-API-Key: ${key}`,
    'Content-Type: application/json',
  ];
  return `${[...head, `Content-Length: ${content.length}`, ...lines].join('\r\n')}\r\n\r\n${content}`;
}

async function open(port: number): Promise<Socket> {
  const socket = connect(port, '127.0.0.1');
  await once(socket, 'connect');
  return socket;
}

describe('connections', () => {
  const api = useTestApi();
  const events = useRequestEvents();
  afterEach(() => {
    api().coalescer.respond = undefined;
  });

  it('keeps one open over answers and over refusals with a small body', async () => {
    const { port, key } = api();
    const socket = await open(port);
    for (const [bytes, status] of [
      [predictBytes(key), 200],
      [predictBytes('wrong'), 401],
      [predictBytes(key, ['Accept: text/html']), 406],
      ['GET /nothing HTTP/1.1\r\nHost: a\r\n\r\n', 404],
      [predictBytes(key), 200],
    ] as const) {
      const response = readResponse(socket);
      socket.write(bytes);
      expect((await response).status).to.equal(status);
      expect((await response).headers['connection']).to.equal('keep-alive');
    }
    socket.destroy();
  });

  it('answers HEAD as GET, without a body and with its length, errors too', async () => {
    const { port } = api();
    for (const [path, status] of [
      ['/livez', 200],
      ['/docs', 200],
      ['/nothing', 404],
      ['/api/v1/models', 401],
      ['/api/v1/predict', 405],
    ] as const) {
      const head = await sendRaw(port, `HEAD ${path} HTTP/1.1\r\nHost: a\r\n\r\n`, { head: true });
      expect(head.status, path).to.equal(status);
      expect(Number(head.headers['content-length']), path).to.be.greaterThan(0);
      if (path === '/api/v1/predict') continue;
      const get = await sendRaw(
        port,
        `GET ${path} HTTP/1.1\r\nHost: a\r\nX-Request-Id: ${'i'.repeat(23)}\r\n\r\n`,
      );
      expect(get.headers['content-type']).to.equal(head.headers['content-type']);
    }
  });

  it('answers OPTIONS with what a path, or the server, supports', async () => {
    const { port } = api();
    for (const [target, allow] of [
      ['/api/v1/predict', 'OPTIONS, POST'],
      ['/api/v1/models/wine', 'GET, HEAD, OPTIONS'],
      ['*', 'GET, HEAD, OPTIONS, POST'],
    ] as const) {
      const response = await sendRaw(port, `OPTIONS ${target} HTTP/1.1\r\nHost: a\r\n\r\n`);
      expect(response.status).to.equal(204);
      expect(response.headers['allow']).to.equal(allow);
      expect(response.headers['content-length']).to.equal(undefined);
    }
  });

  it('takes what is unusual and right', async () => {
    const { port, key } = api();
    const right: readonly string[] = [
      'GET /livez HTTP/1.0\r\n\r\n',
      'GET /livez HTTP/1.1\r\nhost:\r\n\r\n',
      'GET http://a/livez HTTP/1.1\r\nHost: a\r\n\r\n',
      'GET HTTP://A/livez?x=1 HTTP/1.1\r\nHost: a\r\n\r\n',
      'GET /livez?cache=buster&cache HTTP/1.1\r\nHost: a\r\n\r\n',
      'GET /%6civez HTTP/1.1\r\nHost: a\r\n\r\n',
      'GET /livez HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AA\r\n\r\n',
      'GET /livez HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n',
      'GET /livez HTTP/1.0\r\nExpect: something\r\n\r\n',
      'GET /livez HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello',
      `\r\n${predictBytes(key)}`,
      predictBytes(key, ['Accept: application/*;q=0.5', 'traceparent: nonsense', 'Prefer: respond-async']),
    ];
    for (const bytes of right) expect((await sendRaw(port, bytes)).status, bytes).to.equal(200);
  });

  it('sends 100 Continue only once a body is welcome', async () => {
    const { port, key } = api();
    const head = predictBytes(key, ['Expect: 100-continue']).slice(0, -body.length);
    const response = await sendRaw(port, head, { afterFirstLine: body });
    expect(response.status).to.equal(200);
  });

  it("names a request by the caller's id, in the answer and in the event", async () => {
    const { port } = api();
    const response = await sendRaw(
      port,
      'GET /nothing HTTP/1.1\r\nHost: a\r\nX-Request-Id: my.id_1-x\r\n\r\n',
    );
    expect(response.headers['x-request-id']).to.equal('my.id_1-x');
    const event = await events.first(({ requestId }) => requestId === 'my.id_1-x');
    expect(event).to.include({ route: 'unmatched', status: 404, errorCode: 'not_found', principal: null });
  });

  it('publishes what the parser refuses', async () => {
    const response = await sendRaw(api().port, 'nonsense\r\n\r\n');
    const id = response.headers['x-request-id'];
    const event = await events.first(({ requestId }) => requestId === id);
    expect(event).to.include({ route: 'unmatched', status: 400, errorCode: 'invalid_input' });
  });

  it('gives a request that waits its own answer when a malformed one follows it', async () => {
    const { port, key, coalescer } = api();
    const gate = Promise.withResolvers<void>();
    coalescer.respond = async (request) => {
      await gate.promise;
      return answerTo(request);
    };
    const socket = await open(port);
    const response = readResponse(socket);
    const arrived = coalescer.next();
    socket.write(predictBytes(key, ['X-Request-Id: waits']));
    await arrived;
    socket.write('FOO BAR\r\n\r\n');
    gate.resolve();
    const { status, headers } = await response;
    expect(status).to.equal(200);
    expect(headers['x-request-id']).to.equal('waits');
    await once(socket, 'close');
  });

  it('refuses a target that no router can read, and leaves what waits before it alone', async () => {
    const { port, key, coalescer } = api();
    const gate = Promise.withResolvers<void>();
    coalescer.respond = async (request) => {
      await gate.promise;
      return answerTo(request);
    };
    const socket = await open(port);
    const first = readResponse(socket);
    const arrived = coalescer.next();
    socket.write(predictBytes(key, ['X-Request-Id: before']));
    await arrived;
    socket.write('GET http://[ HTTP/1.1\r\nHost: [\r\nX-Request-Id: behind\r\n\r\n');
    expect(await events.first(({ requestId }) => requestId === 'behind')).to.include({ status: 404 });
    gate.resolve();
    expect(await first).to.include({ status: 200 });
    socket.destroy();
    const alone = await sendRaw(port, 'GET https://[::1 HTTP/1.1\r\nHost: a\r\n\r\n');
    expect(alone.status).to.equal(400);
  });

  it('writes no refusal before the answers that are due on a connection', async () => {
    const { port, key, coalescer } = api();
    const gate = Promise.withResolvers<void>();
    coalescer.respond = async (request) => {
      await gate.promise;
      return answerTo(request);
    };
    const socket = await open(port);
    let text = '';
    socket.on('data', (chunk: Buffer) => (text += chunk.toString()));
    const arrived = coalescer.next();
    socket.write(predictBytes(key, ['X-Request-Id: waits-long']));
    await arrived;
    socket.write('GET /nothing HTTP/1.1\r\nHost: a\r\nX-Request-Id: answered-behind\r\n\r\n');
    await events.first(({ requestId }) => requestId === 'answered-behind');
    socket.write('FOO BAR\r\n\r\n');
    // Behind what is on its way to the server: the parser has stopped by then.
    expect((await api().request('/livez')).status).to.equal(200);
    gate.resolve();
    await once(socket, 'close');
    expect([...text.matchAll(/HTTP\/1\.1 (\d+)/g)].map(([, status]) => status)).to.deep.equal(['200', '404']);
  });

  it('puts a body together from any number of chunks', async () => {
    const { port, key } = api();
    const spaces = '1\r\n \r\n'.repeat(5000);
    const head = predictBytes(key, ['Transfer-Encoding: chunked'])
      .slice(0, -body.length)
      .replace(/Content-Length: \d+\r\n/, '');
    const chunks = Array.from(body, (character) => `1\r\n${character}\r\n`).join('');
    const response = await sendRaw(port, `${head}${spaces}${chunks}${spaces}0\r\n\r\n`);
    expect(response.status).to.equal(200);
    expect([...api().coalescer.requests.at(-1)!.tensors.values()][0]!.data).to.deep.equal(
      Float32Array.of(1, 2, 3, 4, 5),
    );
  });

  it('answers requests that are sent together in their order', async () => {
    const { port, key } = api();
    const socket = await open(port);
    const first = readResponse(socket);
    const second = first.then(() => readResponse(socket));
    socket.write(predictBytes(key, ['X-Request-Id: one']));
    expect((await first).headers['x-request-id']).to.equal('one');
    socket.write(predictBytes(key, ['X-Request-Id: two']));
    expect((await second).headers['x-request-id']).to.equal('two');
    socket.destroy();
  });

  it('drops the work of a client that left, and says 499 in the event alone', async () => {
    const { port, key, coalescer, admission } = api();
    const work = Promise.withResolvers<never>();
    coalescer.respond = () => work.promise;
    const socket = await open(port);
    const arrived = coalescer.next();
    socket.write(predictBytes(key, ['X-Request-Id: leaves']));
    const { signal } = await arrived;
    expect(signal?.aborted).to.equal(false);
    socket.destroy();
    const event = await events.first(({ requestId }) => requestId === 'leaves');
    expect(signal?.aborted).to.equal(true);
    work.reject(signal?.reason);
    expect(event).to.include({ status: 499, model: 'wine', errorCode: null });
    expect(events.all.filter(({ requestId }) => requestId === 'leaves')).to.have.length(1);
    // What rejected has reached the handler by the end of the turn.
    await new Promise(setImmediate);
    expect(admission.inFlight).to.equal(0);
  });

  it('gives the permit back when a client leaves in the middle of its body', async () => {
    const { port, key } = api();
    const socket = await open(port);
    socket.write(predictBytes(key, ['X-Request-Id: stops', 'Expect: 100-continue']).slice(0, -body.length));
    await once(socket, 'data');
    expect(api().admission.inFlight).to.equal(1);
    socket.destroy();
    // Whether the client has left or has only stopped to send, the parser cannot tell.
    const event = await events.first(({ requestId }) => requestId === 'stops');
    expect(event).to.include({ status: 400, errorCode: 'invalid_input' });
    // Behind whatever the end of that connection still had to do.
    expect((await api().predict(body)).status).to.equal(200);
    expect(api().admission.inFlight).to.equal(0);
  });

  it('lets a client that sends too much read its answer', async () => {
    const response = await api().predict(`{"inputs":"${'x'.repeat(8_000_000)}"}`);
    expect(response.status).to.equal(413);
  });
});

describe('limits of connections', () => {
  const events = useRequestEvents();

  it('refuses beyond the permits, before the body is read', async () => {
    const api = await startTestApi({ inFlightMax: 1 });
    const gate = Promise.withResolvers<void>();
    api.coalescer.respond = async (request) => {
      await gate.promise;
      return answerTo(request);
    };
    const arrived = api.coalescer.next();
    const first = api.predict(body);
    await arrived;
    const second = await api.predict('not even JSON');
    expect(second.status).to.equal(503);
    expect(second.headers.get('retry-after')).to.match(/^\d+$/);
    gate.resolve();
    expect((await first).status).to.equal(200);
    expect((await api.predict(body)).status).to.equal(200);
    await api.close();
  });

  it('refuses bodies beyond what may be in memory at once', async () => {
    const api = await startTestApi({ bytesMax: 100, bufferedBytesMax: 30 });
    expect((await api.predict(`{"inputs":[1,2,3,4,5.${'0'.repeat(40)}]}`)).status).to.equal(503);
    expect((await api.predict(body)).status).to.equal(200);
    await api.close();
  });

  it('counts a body until its request is answered', async () => {
    const api = await startTestApi({ bytesMax: 100, bufferedBytesMax: 30 });
    const gate = Promise.withResolvers<void>();
    api.coalescer.respond = async (request) => {
      await gate.promise;
      return answerTo(request);
    };
    const arrived = api.coalescer.next();
    const first = api.predict(body);
    await arrived;
    expect((await api.predict(body)).status).to.equal(503);
    gate.resolve();
    expect((await first).status).to.equal(200);
    expect((await api.predict(body)).status).to.equal(200);
    await api.close();
  });

  it('says 408 for headers and for bodies that do not come', async function () {
    this.timeout(10_000);
    const api = await startTestApi({ server: { headersTimeoutMs: 200, requestTimeoutMs: 400 } });
    const slowHead = await open(api.port);
    const headAnswer = readResponse(slowHead);
    slowHead.write('GET /livez HTTP/1.1\r\nHost:');
    const slowBody = await open(api.port);
    const bodyAnswer = readResponse(slowBody);
    slowBody.write(predictBytes(api.key, ['X-Request-Id: slow']).slice(0, -3));
    for (const answer of [await headAnswer, await bodyAnswer]) {
      expect(answer.status).to.equal(408);
      expect(answer.headers['connection']).to.equal('close');
      expect((JSON.parse(answer.body) as { error: { code: string } }).error.code).to.equal('request_timeout');
    }
    const event = await events.first(({ requestId }) => requestId === 'slow');
    expect(event).to.include({ status: 408, errorCode: 'request_timeout', route: '/api/v1/predict' });
    await api.close();
    expect(api.admission.inFlight).to.equal(0);
  });

  it('ends a connection whose request was answered and whose body never comes', async function () {
    this.timeout(10_000);
    const api = await startTestApi({ server: { headersTimeoutMs: 200, requestTimeoutMs: 400 } });
    const socket = await open(api.port);
    const answer = readResponse(socket);
    socket.write('POST /nothing HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhalf');
    expect((await answer).status).to.equal(404);
    if (!socket.closed) await once(socket, 'close');
    await api.close();
  });
});
