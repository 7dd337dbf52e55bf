import { once } from 'node:events';
import { connect } from 'node:net';
import { expect } from 'chai';
import type { StreamedAnswer } from '../../../src/api/http/answer.ts';
import type { Exchange } from '../../../src/api/http/exchange.ts';
import type { Route } from '../../../src/api/http/route-table.ts';
import { MillraceError } from '../../../src/errors.ts';
import { until } from '../../../src/dev/readiness.ts';
import type { RequestEvent } from '../../../src/channels.ts';
import { useRequestEvents } from '../support/request-events.ts';
import { useTestApi } from '../support/test-api.ts';

describe('streamed answers', () => {
  let ended = 0;
  let abortedInside = false;

  async function* some(exchange: Exchange): AsyncGenerator<string> {
    try {
      yield 'one\n';
      if (exchange.params[0] === 'broken') throw new MillraceError('bad_gateway', 'gone');
      if (exchange.params[0] === 'endless') {
        await once(exchange.signal, 'abort');
        abortedInside = true;
      }
      yield 'two\n';
    } finally {
      ended += 1;
    }
  }
  const route: Route = {
    method: 'GET',
    template: '/stream/{kind}',
    scope: 'public',
    produces: 'text/plain',
    query: [],
    unlimited: true,
    handler: (exchange): StreamedAnswer => ({
      status: 200,
      headers: ['Content-Type', 'text/plain'],
      pieces: some(exchange),
    }),
  };
  const api = useTestApi({ routes: [route] });
  const events = useRequestEvents();
  beforeEach(() => {
    ended = 0;
    abortedInside = false;
  });
  const eventOf = (response: Response): Promise<RequestEvent> =>
    events.first(({ requestId }) => requestId === response.headers.get('x-request-id'));

  it('come in chunks with the usual headers, and are told of at their end', async () => {
    const response = await api().request('/stream/whole');
    expect(response.headers.get('x-content-type-options')).to.equal('nosniff');
    expect(response.headers.has('content-length')).to.equal(false);
    expect(response.headers.get('transfer-encoding')).to.equal('chunked');
    expect(await response.text()).to.equal('one\ntwo\n');
    expect(await eventOf(response)).to.include({ route: '/stream/{kind}', status: 200, errorCode: null });
    expect(ended).to.equal(1);
    expect(events.all.filter((event) => event.route === '/stream/{kind}')).to.have.length(1);
  });

  it('end at once for a client that leaves, which is told as 499', async () => {
    const left = new AbortController();
    const response = await api().request('/stream/endless', { signal: left.signal });
    left.abort();
    expect(await eventOf(response)).to.include({ status: 499 });
    await until(async () => ended === 1, AbortSignal.timeout(10_000));
    expect(abortedInside).to.equal(true);
  });

  it('are cut when they fail in the middle, which is told with the error', async () => {
    const response = await api().request('/stream/broken');
    const outcome = await response.text().then(
      () => 'whole',
      () => 'cut',
    );
    expect(outcome).to.equal('cut');
    expect(await eventOf(response)).to.include({ status: 502, errorCode: 'bad_gateway' });
    expect(ended).to.equal(1);
  });

  it('are not begun for HEAD', async () => {
    const response = await api().request('/stream/whole', { method: 'HEAD' });
    expect(response.status).to.equal(200);
    expect(await response.text()).to.equal('');
    expect(await eventOf(response)).to.include({ status: 200 });
    expect(ended).to.equal(0);
  });

  it('keep the connection for the next request, unless the process drains', async () => {
    const socket = connect(api().port, '127.0.0.1');
    let text = '';
    socket.on('data', (chunk: Buffer) => (text += chunk.toString('latin1')));
    for (let request = 1; request <= 2; request++) {
      socket.write('GET /stream/whole HTTP/1.1\r\nHost: a\r\n\r\n');
      await until(async () => text.split('0\r\n\r\n').length === request + 1, AbortSignal.timeout(10_000));
    }
    api().dispatcher.drain();
    socket.write('GET /stream/whole HTTP/1.1\r\nHost: a\r\n\r\n');
    await once(socket, 'close');
    expect(text).to.include('Connection: close');
  });
});
