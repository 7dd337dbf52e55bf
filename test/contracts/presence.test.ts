import { expect } from 'chai';
import type { Redis } from 'ioredis';
import { createRedisKeys } from '../../src/queues/lanes.ts';
import type { RedisKeys } from '../../src/queues/lanes.ts';
import {
  createRedisPresenceAnnouncer,
  createRedisPresenceObserver,
} from '../../src/queues/redis-presence.ts';
import type {
  PresenceAnnouncer,
  PresenceObserver,
  WorkerHeartbeat,
} from '../../src/queues/worker-presence.ts';
import { closeConnections, connect } from '../queues/builders.ts';
import { nextEvent, rejectionOf } from '../queues/inbox.ts';
import { startRedis } from '../support/redis-server.ts';
import { randomPrefix, redisUrl } from '../support/services.ts';

const ttlMs = 60_000;

function heartbeat(workerId: string, over: Partial<WorkerHeartbeat> = {}): WorkerHeartbeat {
  return {
    workerId,
    pool: 'default',
    loaded: ['wine/v1'],
    hostCount: 2,
    busyHostCount: 1,
    flagged: ['nonce/1'],
    draining: false,
    sentAtMs: 1_700_000_000_000,
    ...over,
  };
}

describe('presence contract', () => {
  let keys: RedisKeys;
  let redis: Redis;
  let subscriber: Redis;
  let announcer: PresenceAnnouncer;
  const observers: PresenceObserver[] = [];
  let nowMs = 0;

  beforeEach(async () => {
    keys = createRedisKeys(randomPrefix());
    redis = await connect('command', redisUrl());
    subscriber = await connect('subscriber', redisUrl());
    announcer = createRedisPresenceAnnouncer({ redis, keys, ttlMs });
  });
  afterEach(async () => {
    await Promise.all(observers.splice(0).map((observer) => observer.close()));
    closeConnections();
  });

  const observe = async (): Promise<PresenceObserver> => {
    const observer = await createRedisPresenceObserver({
      subscriber,
      redis,
      keys,
      ttlMs,
      nowMs: () => nowMs,
    });
    observers.push(observer);
    return observer;
  };
  const ids = (heartbeats: readonly WorkerHeartbeat[]): readonly string[] =>
    heartbeats.map(({ workerId }) => workerId).toSorted();
  /** The observer was the first to listen, so it has heard what this hears. */
  const heard = async (announce: Promise<void>): Promise<void> => {
    await Promise.all([nextEvent(subscriber, 'message'), announce]);
  };

  it('shows workers that were there before and those that come', async () => {
    await announcer.announce(heartbeat('a'));
    const observer = await observe();
    expect(observer.all()).to.deep.equal([heartbeat('a')]);
    expect(observer.isServed('gpu')).to.equal(false);
    await heard(announcer.announce(heartbeat('b', { pool: 'gpu' })));
    expect(ids(observer.all())).to.deep.equal(['a', 'b']);
    expect(observer.isServed('gpu')).to.equal(true);
  });

  it('shows the newest heartbeat of a worker', async () => {
    const observer = await observe();
    await heard(announcer.announce(heartbeat('a')));
    await heard(announcer.announce(heartbeat('a', { loaded: [], busyHostCount: 0 })));
    expect(observer.all()).to.deep.equal([heartbeat('a', { loaded: [], busyHostCount: 0 })]);
  });

  it('counts a draining worker as alive but sends it nothing', async () => {
    const observer = await observe();
    await heard(announcer.announce(heartbeat('a', { draining: true })));
    expect(observer.isServed('default')).to.equal(false);
    expect(ids(observer.all())).to.deep.equal(['a']);
  });

  it('forgets a worker that withdraws, at once and for newcomers', async () => {
    await announcer.announce(heartbeat('a'));
    const observer = await observe();
    await heard(announcer.withdraw('a', 'default'));
    expect(observer.all()).to.deep.equal([]);
    expect((await observe()).all()).to.deep.equal([]);
    expect(await redis.zcard(keys.workers)).to.equal(0);
  });

  it('forgets a worker whose heartbeats stop, by its own clock', async () => {
    const observer = await observe();
    await heard(announcer.announce(heartbeat('a')));
    nowMs += ttlMs - 1;
    expect(ids(observer.all())).to.deep.equal(['a']);
    expect(observer.isServed('default')).to.equal(true);
    nowMs += 1;
    expect(observer.isServed('default')).to.equal(false);
    expect(observer.all()).to.deep.equal([]);
  });

  it('shows no newcomer a worker whose key has expired, and clears it from the index', async () => {
    await announcer.announce(heartbeat('dead'));
    await redis.del(keys.worker('dead'));
    await redis.zadd(keys.workers, 0, 'dead');
    await announcer.announce(heartbeat('a'));
    expect(ids((await observe()).all())).to.deep.equal(['a']);
    expect(await redis.zrange(keys.workers, 0, '-1')).to.deep.equal(['a']);
  });

  it('learns what it missed when its subscription is back', async () => {
    const observer = await observe();
    subscriber.disconnect();
    await nextEvent(subscriber, 'end');
    await announcer.announce(heartbeat('a'));
    expect(observer.all()).to.deep.equal([]);
    await subscriber.connect();
    // The read has no event of its own: each round trip gives it the time of one.
    // oxlint-disable-next-line no-await-in-loop
    while (observer.all().length === 0) await redis.ping();
    expect(observer.all()).to.deep.equal([heartbeat('a')]);
  });

  it('is not upset by what is no heartbeat', async () => {
    const observer = await observe();
    for (const text of ['', 'null', '[]', '{"workerId":1}'])
      await heard(redis.publish(keys.workerChannel, text).then(() => undefined));
    expect(observer.all()).to.deep.equal([]);
  });

  it('tells the worker when Redis is out of reach', async () => {
    const server = await startRedis();
    const own = await connect('command', server.url);
    const closed = nextEvent(own, 'close');
    await server.stop();
    await closed;
    const cut = createRedisPresenceAnnouncer({ redis: own, keys, ttlMs });
    expect(await rejectionOf(cut.announce(heartbeat('a')))).to.include({ code: 'service_unavailable' });
  });
});
