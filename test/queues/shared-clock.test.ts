import { expect } from 'chai';
import { createSharedClock } from '../../src/queues/shared-clock.ts';
import { redisUrl } from '../support/services.ts';
import { startRedis } from '../support/redis-server.ts';
import { closeConnections, connect } from './builders.ts';
import { nextEvent } from './inbox.ts';

describe('shared clock', () => {
  afterEach(closeConnections);

  it('shows the time of the Redis server within half a round trip', async () => {
    const redis = await connect('command', redisUrl());
    const clock = createSharedClock({ redis });
    await clock.synchronize();
    expect(clock.synchronized).to.equal(true);
    const beforeMs = clock.nowMs();
    const [seconds, microseconds] = await redis.time();
    const afterMs = clock.nowMs();
    clock.close();
    const serverMs = Number(seconds) * 1000 + Number(microseconds) / 1000;
    // The offset is at most half the shortest of three round trips off, which this one bounds loosely.
    const slackMs = (afterMs - beforeMs) / 2 + 5;
    expect(serverMs).to.be.within(beforeMs - slackMs, afterMs + slackMs);
  });

  it('keeps its last offset while Redis is down and measures again when it is back', async () => {
    const server = await startRedis();
    const redis = await connect('command', server.url);
    const clock = createSharedClock({ redis });
    try {
      await clock.synchronize();
      const closed = nextEvent(redis, 'close');
      await server.kill();
      await closed;
      const before = clock.nowMs();
      let refused: unknown;
      await clock.synchronize().catch((error: unknown) => {
        refused = error;
      });
      expect(refused).to.be.instanceOf(Error);
      expect(clock.nowMs()).to.be.at.least(before);
      const ready = nextEvent(redis, 'ready');
      await server.restart();
      await ready;
      await clock.synchronize();
      expect(clock.nowMs()).to.be.greaterThan(before);
    } finally {
      clock.close();
      await server.stop();
    }
  });
});
