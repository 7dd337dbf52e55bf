import { expect } from 'chai';
import { once } from 'node:events';
import { connect } from 'node:net';
import { answerTo } from '../support/answering-coalescer.ts';
import { startTestApi } from '../support/test-api.ts';
import type { TestApi } from '../support/test-api.ts';

const body = { inputs: [1, 2, 3, 4, 5] };

describe('drain', () => {
  let api: TestApi;
  beforeEach(async () => {
    api = await startTestApi();
  });
  afterEach(() => api.close().catch(() => undefined));

  it('goes on answering, and ends each connection with its answer', async () => {
    expect((await api.predict(body)).headers.get('connection')).to.equal('keep-alive');
    api.dispatcher.drain();
    for (const response of [await api.predict(body), await api.request('/nothing')]) {
      expect(response.headers.get('connection')).to.equal('close');
      await response.arrayBuffer();
    }
  });

  it('finishes what was accepted, ends connections without a request and accepts no more', async () => {
    const gate = Promise.withResolvers<void>();
    api.coalescer.respond = async (request) => {
      await gate.promise;
      return answerTo(request);
    };
    const idle = connect(api.port, '127.0.0.1');
    await once(idle, 'connect');
    const idleEnded = once(idle.resume(), 'close');
    const arrived = api.coalescer.next();
    const accepted = api.predict(body);
    await arrived;
    api.dispatcher.drain();
    const closed = api.server.close(10_000);
    await idleEnded;
    const late = connect(api.port, '127.0.0.1');
    const [error] = (await once(late, 'error')) as [NodeJS.ErrnoException];
    expect(error.code).to.equal('ECONNREFUSED');
    gate.resolve();
    const response = await accepted;
    expect(response.status).to.equal(200);
    expect(response.headers.get('connection')).to.equal('close');
    await closed;
  });

  it('cuts what does not finish within its grace', async () => {
    api.coalescer.respond = () => new Promise(() => {});
    const arrived = api.coalescer.next();
    const accepted = api.predict(body).then(
      () => 'answered',
      () => 'cut',
    );
    await arrived;
    await api.server.close(0);
    expect(await accepted).to.equal('cut');
  });
});
