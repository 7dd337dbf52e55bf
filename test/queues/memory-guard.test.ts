import { expect } from 'chai';
import type { Redis } from 'ioredis';
import { channels } from '../../src/channels.ts';
import { MemoryGuard, pressureOf } from '../../src/queues/memory-guard.ts';
import { refusalOf } from '../support/refusals.ts';
import { startRedis } from '../support/redis-server.ts';
import type { TestRedis } from '../support/redis-server.ts';
import { closeConnections, connect } from './builders.ts';
import { createInbox } from './inbox.ts';

/** In pieces: one large command would itself need as much again. */
const pieces = Array.from({ length: 16 }, (_, n) => `filler-${n}`);

async function fill(redis: Redis): Promise<void> {
  for (const piece of pieces) await redis.set(piece, Buffer.alloc(1_000_000));
}

async function empty(redis: Redis): Promise<void> {
  await redis.unlink(...pieces);
}

describe('memory guard', () => {
  it('reads used memory and its limit as Redis compares them', () => {
    expect(pressureOf('used_memory:500\r\nmaxmemory:1000\r\nmem_not_counted_for_evict:100\r\n')).to.equal(
      0.4,
    );
    expect(pressureOf('used_memory:500\r\nmaxmemory:0\r\n')).to.equal(0);
    expect(pressureOf('')).to.equal(0);
  });

  describe('of a Redis with 24 MB', () => {
    let server: TestRedis;
    before(async () => {
      server = await startRedis(['--maxmemory', '24mb', '--maxmemory-policy', 'noeviction']);
    });
    after(() => server.stop());
    afterEach(closeConnections);

    it('refuses from its limit on, takes again some way below it, and says both once', async () => {
      const redis = await connect('command', server.url);
      const guard = new MemoryGuard({ redis, percentMax: 60 });
      const told = createInbox<string>();
      const onFault = (event: unknown): void => told.push(String((event as { error: unknown }).error));
      const onNotice = (event: unknown): void => told.push((event as { message: string }).message);
      channels.fault.subscribe(onFault);
      channels.notice.subscribe(onNotice);
      try {
        await guard.start();
        guard.admit();
        expect(guard.pressure()).to.be.within(0.01, 0.3);
        await fill(redis);
        await told.filled(1);
        expect(guard.pressure()).to.be.within(0.6, 0.9);
        expect(refusalOf(() => guard.admit(), 'service_unavailable').retryAfterS).to.equal(2);
        await empty(redis);
        await told.filled(2);
        guard.admit();
        expect(told.items).to.have.length(2);
        expect(told.items[0]).to.match(/% of its memory is in use/);
      } finally {
        channels.fault.unsubscribe(onFault);
        channels.notice.unsubscribe(onNotice);
        guard.close();
      }
    });

    it('looks at once when Redis is back, and stands by what it knows while it is away', async () => {
      const redis = await connect('command', server.url);
      const guard = new MemoryGuard({ redis, percentMax: 60 });
      const told = createInbox<unknown>();
      const onNotice = (event: unknown): void => told.push(event);
      channels.notice.subscribe(onNotice);
      try {
        await fill(redis);
        await guard.start();
        refusalOf(() => guard.admit(), 'service_unavailable');
        await empty(redis);
        await server.kill();
        refusalOf(() => guard.admit(), 'service_unavailable');
        await server.restart();
        await told.filled(1);
        guard.admit();
      } finally {
        channels.notice.unsubscribe(onNotice);
        guard.close();
      }
    });
  });
});
