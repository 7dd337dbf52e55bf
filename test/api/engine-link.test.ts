import { expect } from 'chai';
import { EngineLink } from '../../src/api/engine-link.ts';
import type { StartedEngine } from '../../src/api/engine-link.ts';
import { createRedis } from '../../src/redis.ts';
import { redisUrl } from '../support/services.ts';
import { AnsweringCoalescer } from './support/answering-coalescer.ts';
import { nextEvent } from '../queues/inbox.ts';

function client(url: string) {
  return createRedis('command', {
    url,
    connectTimeoutMs: 1000,
    commandTimeoutMs: 1000,
    retryDelayMsMax: 50,
    onError: () => {},
  });
}

function engine(close: () => Promise<void> = async () => {}): StartedEngine {
  return {
    coalescer: new AnsweringCoalescer(),
    presence: { isServed: () => false, all: () => [], close: async () => {} },
    clock: { nowMs: () => 0 },
    connected: () => true,
    close,
  };
}

describe('EngineLink', () => {
  it('connects once all clients are ready, and closes what it made', async () => {
    const redis = client(redisUrl());
    const connected = Promise.withResolvers<void>();
    let closed = 0;
    const link = new EngineLink({
      clients: [redis],
      connect: async () => {
        expect(redis.status).to.equal('ready');
        connected.resolve();
        return engine(async () => void (closed += 1));
      },
      retryMs: 1,
    });
    expect(link.engine).to.equal(undefined);
    link.start();
    await connected.promise;
    await link.close();
    expect(closed).to.equal(1);
    expect(link.engine).to.equal(undefined);
    redis.disconnect();
  });

  it('tries again until it succeeds', async () => {
    const redis = client(redisUrl());
    await nextEvent(redis, 'ready');
    const connected = Promise.withResolvers<void>();
    let attempts = 0;
    const link = new EngineLink({
      clients: [redis],
      connect: async () => {
        attempts += 1;
        if (attempts < 3) throw new Error('not yet');
        connected.resolve();
        return engine();
      },
      retryMs: 1,
    });
    link.start();
    await connected.promise;
    expect(attempts).to.equal(3);
    await link.close();
    redis.disconnect();
  });

  it('closes at once while it still waits', async () => {
    const redis = client('redis://127.0.0.1:1');
    const link = new EngineLink({
      clients: [redis],
      connect: () => Promise.reject(new Error('must not be asked')),
      retryMs: 3_600_000,
    });
    link.start();
    await link.close();
    expect(link.engine).to.equal(undefined);
    redis.disconnect();
  });

  it('closes at once between two attempts', async () => {
    const redis = client(redisUrl());
    const tried = Promise.withResolvers<void>();
    const link = new EngineLink({
      clients: [redis],
      connect: async () => {
        tried.resolve();
        throw new Error('no');
      },
      retryMs: 3_600_000,
    });
    link.start();
    await tried.promise;
    await link.close();
    redis.disconnect();
  });
});
