import type { Redis } from 'ioredis';
import { expect } from 'chai';
import { once } from 'node:events';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import fc from 'fast-check';
import { createRedis, retryDelay } from '../src/redis.ts';
import type { RedisRole } from '../src/redis.ts';
import { startRedis } from './support/redis-server.ts';
import type { TestRedis } from './support/redis-server.ts';

describe('redis', () => {
  let server: TestRedis;
  const clients: Redis[] = [];
  const errors: [RedisRole, Error][] = [];

  before(async () => {
    server = await startRedis();
  });

  afterEach(() => {
    for (const client of clients.splice(0)) client.disconnect();
    errors.length = 0;
  });

  after(() => server.stop());

  function create(role: RedisRole, url = server.url): Redis {
    const client = createRedis(role, {
      url,
      connectTimeoutMs: 200,
      commandTimeoutMs: 200,
      retryDelayMsMax: 100,
      onError: (from, error) => errors.push([from, error]),
    });
    clients.push(client);
    return client;
  }

  async function ready(role: RedisRole): Promise<Redis> {
    const client = create(role);
    await next(client, 'ready');
    return client;
  }

  /** Unlike `once` of node:events, it does not reject at the error events that come while a server is away. */
  function next(client: Redis, event: 'ready' | 'close' | 'message'): Promise<unknown[]> {
    return new Promise((resolve) => client.once(event, (...values: unknown[]) => resolve(values)));
  }

  async function failureOf(command: Promise<unknown>): Promise<Error> {
    return command.then(
      () => {
        throw new Error('the command succeeded');
      },
      (error: Error) => error,
    );
  }

  it('speaks the reply shapes that its users expect', async () => {
    const client = await ready('command');
    await client.hset('shapes', { a: '1' });
    expect(await client.hgetall('shapes')).to.deep.equal({ a: '1' });
  });

  it('refuses a command at once while it is not connected, rather than keep it', async () => {
    const client = create('command');
    expect((await failureOf(client.ping())).message).to.include("Stream isn't writeable");
  });

  it('bounds a command to a server that is frozen', async () => {
    const client = await ready('command');
    process.kill(server.pid, 'SIGSTOP');
    try {
      expect((await failureOf(client.ping())).message).to.equal('Command timed out');
    } finally {
      process.kill(server.pid, 'SIGCONT');
    }
    expect(await client.ping()).to.equal('PONG');
  });

  it('bounds the wait for a host that accepts and says nothing', async () => {
    const silent = createServer().listen(0, '127.0.0.1');
    await once(silent, 'listening');
    const sockets = new Set<{ destroy(): void }>();
    silent.on('connection', (socket) => sockets.add(socket));
    const client = create('command', `redis://127.0.0.1:${(silent.address() as AddressInfo).port}`);
    expect((await failureOf(client.ping())).message).to.match(/Stream isn't writeable|timed out/);
    client.disconnect();
    for (const socket of sockets) socket.destroy();
    silent.close();
    await once(silent, 'close');
  });

  it('fails commands fast when the server is killed, and recovers with it', async () => {
    const client = await ready('command');
    await client.set('kept', 'yes');
    const closed = next(client, 'close');
    await server.kill();
    await closed;
    // Not by its timeout, and not when the server is back.
    expect((await failureOf(client.ping())).message).to.not.include('timed out');
    const again = next(client, 'ready');
    await server.restart();
    await again;
    expect(await client.get('kept')).to.equal('yes');
    expect(errors.every(([role]) => role === 'command')).to.equal(true);
  });

  it('does not send a command again that may have been done before the connection broke', async () => {
    const client = await ready('command');
    await client.set('count', 0);
    process.kill(server.pid, 'SIGSTOP');
    try {
      const sent = client.incr('count');
      // Auto-pipelining sends at the end of the turn; the frozen server has it then, and no answer comes back.
      await new Promise(setImmediate);
      client.stream.destroy();
      // With the connection, and not by its timeout: whoever waits can try again at once.
      expect((await failureOf(sent)).message).to.not.include('timed out');
    } finally {
      process.kill(server.pid, 'SIGCONT');
    }
    await next(client, 'ready');
    expect(await client.get('count')).to.equal('1');
  });

  it('keeps a blocking command waiting through a restart', async () => {
    const client = await ready('blocking');
    const popped = client.blpop('list', 0);
    const again = next(client, 'ready');
    await server.kill();
    await server.restart();
    await again;
    const producer = await ready('command');
    await producer.rpush('list', 'value');
    expect(await popped).to.deep.equal(['list', 'value']);
  });

  it('subscribes again by itself after a restart', async () => {
    const client = await ready('subscriber');
    await client.subscribe('news');
    await server.kill();
    await server.restart();
    await next(client, 'ready');
    const producer = await ready('command');
    const heard = next(client, 'message');
    // The subscription is renewed after `ready`: publish once the server counts it.
    let receivers = 0;
    while (receivers === 0) receivers = await producer.publish('news', 'hello');
    expect(await heard).to.deep.equal(['news', 'hello']);
  });

  it('hands every connection error to its owner', async () => {
    const client = create('blocking', 'redis://127.0.0.1:1');
    await once(client, 'error');
    expect(errors[0]?.[0]).to.equal('blocking');
    expect(errors[0]?.[1].message).to.include('ECONNREFUSED');
  });

  describe('the delay before another attempt', () => {
    it('starts at 50 ms, doubles, and ends at its bound', () => {
      const delays = [1, 2, 3, 4, 5, 6, 100].map((attempt) => retryDelay(attempt, 1000, 1));
      expect(delays).to.deep.equal([50, 100, 200, 400, 800, 1000, 1000]);
    });

    it('never leaves its range, however long the outage', () => {
      fc.assert(
        fc.property(
          fc.integer({ min: 1, max: 1e9 }),
          fc.integer({ min: 50, max: 60_000 }),
          fc.double({ min: 0, max: 1, noNaN: true }),
          (attempt, max, random) => {
            expect(retryDelay(attempt, max, random)).to.be.within(37, max);
          },
        ),
      );
    });
  });
});
