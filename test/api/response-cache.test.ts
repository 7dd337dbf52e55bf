import { expect } from 'chai';
import type { Redis } from 'ioredis';
import { ResponseCache } from '../../src/api/response-cache.ts';
import type { Lookup, ResponseCacheOptions } from '../../src/api/response-cache.ts';
import { channels } from '../../src/channels.ts';
import type { CacheEvent, FaultEvent } from '../../src/channels.ts';
import { until } from '../../src/dev/readiness.ts';
import { createRedis } from '../../src/redis.ts';
import type { NamedTensors } from '../../src/tensors/tensor.ts';
import { tensor } from '../support/builders.ts';
import { startRedis } from '../support/redis-server.ts';
import type { TestRedis } from '../support/redis-server.ts';

const ttlMs = 60_000;
const timeout = () => AbortSignal.timeout(10_000);

function result(value: number): NamedTensors {
  return new Map([['value', tensor('FP64', [1], [value])]]);
}

describe('response cache over Redis', () => {
  let server: TestRedis;
  let redis: Redis;
  let admin: Redis;
  const events: CacheEvent[] = [];
  const faults: FaultEvent[] = [];
  const onCache = (event: unknown): unknown => events.push(event as CacheEvent);
  const onFault = (event: unknown): unknown => faults.push(event as FaultEvent);

  before(async () => {
    server = await startRedis();
    channels.cache.subscribe(onCache);
    channels.fault.subscribe(onFault);
  });
  after(async () => {
    channels.cache.unsubscribe(onCache);
    channels.fault.unsubscribe(onFault);
    await server.stop();
  });
  beforeEach(async () => {
    const options = {
      url: server.url,
      connectTimeoutMs: 1000,
      commandTimeoutMs: 1500,
      retryDelayMsMax: 100,
      onError: () => undefined,
    };
    redis = createRedis('command', options);
    admin = createRedis('subscriber', options);
    await until(async () => redis.status === 'ready', timeout());
    await admin.flushall();
    await admin.config('RESETSTAT');
    events.length = 0;
    faults.length = 0;
  });
  afterEach(() => {
    redis.disconnect();
    admin.disconnect();
  });

  function build(changes: Partial<ResponseCacheOptions> = {}): ResponseCache {
    return new ResponseCache({
      redis,
      redisKey: (key) => `{t}:cache:${key}`,
      memory: { pressure: () => 0 },
      entryBytesMax: 4096,
      bytesMax: 1_000_000,
      lookupTimeoutMs: 5000,
      ...changes,
    });
  }

  function counted(what: CacheEvent['what']): number {
    return events.reduce((sum, event) => sum + (event.what === what ? event.count : 0), 0);
  }

  /** Resolves when what was inserted is in Redis, or is known not to be. */
  async function settled(count: number): Promise<void> {
    await until(async () => counted('inserted') + counted('not_inserted') >= count, timeout());
  }

  async function keep(cache: ResponseCache, key: string, tensors: NamedTensors): Promise<void> {
    const before = counted('inserted') + counted('not_inserted');
    cache.insert(key, ttlMs, tensors);
    await settled(before + 1);
  }

  async function callsOf(command: string): Promise<number> {
    const stats = await admin.info('commandstats');
    return Number(new RegExp(`cmdstat_${command}:calls=(\\d+)`).exec(stats)?.[1] ?? 0);
  }

  const kinds = (found: readonly Lookup[]) => found.map(({ kind }) => kind);

  it('keeps what was inserted, for its time', async () => {
    const cache = build();
    expect(await cache.lookup('a')).to.deep.equal({ kind: 'miss' });
    await keep(cache, 'a', result(1.5));
    expect(await cache.lookup('a')).to.deep.equal({ kind: 'hit', tensors: result(1.5) });
    expect(await admin.pttl('{t}:cache:a')).to.be.within(ttlMs - 10_000, ttlMs);
    expect(await build().lookup('a')).to.have.property('kind', 'hit');
    expect([counted('hit'), counted('miss'), counted('inserted')]).to.deep.equal([2, 1, 1]);
  });

  it('looks up with one MGET for all of a turn, and inserts with one script', async () => {
    const cache = build();
    const keys = Array.from({ length: 100 }, (_, i) => `k${i}`);
    for (const [i, key] of keys.entries()) if (i % 2 === 0) cache.insert(key, ttlMs, result(i));
    await settled(50);
    expect([await callsOf('eval'), await callsOf('set')]).to.deep.equal([1, 50]);
    const found = await Promise.all(keys.map((key) => cache.lookup(key)));
    expect(await callsOf('mget')).to.equal(1);
    expect(found).to.deep.equal(
      keys.map((_, i) => (i % 2 === 0 ? { kind: 'hit', tensors: result(i) } : { kind: 'miss' })),
    );
  });

  it('takes what it cannot read for a miss, and says so', async () => {
    const cache = build();
    await keep(cache, 'a', result(1));
    const entry = (await admin.getBuffer('{t}:cache:a'))!;
    await admin.set('{t}:cache:foreign', entry);
    await admin.set('{t}:cache:text', 'nonsense');
    await keep(cache, 'rows', new Map([['value', tensor('FP64', [2], [1, 2])]]));
    const found = await Promise.all(['foreign', 'text', 'rows', 'a'].map((key) => cache.lookup(key)));
    expect(kinds(found)).to.deep.equal(['miss', 'miss', 'miss', 'hit']);
    expect(faults.map(({ component }) => component)).to.deep.equal(Array(3).fill('response-cache'));
  });

  it('misses where another type lies under the key', async () => {
    await admin.lpush('{t}:cache:list', 'x');
    expect(await build().lookup('list')).to.have.property('kind', 'miss');
  });

  it('inserts nothing that is too large, nothing beyond its budget, nothing while memory is short', async () => {
    const large = new Map([['y', tensor('FP64', [1, 512], Array<number>(512).fill(1))]]);
    await keep(build(), 'large', large);
    await keep(build({ bytesMax: 100 }), 'budget', result(1));
    await keep(build({ memory: { pressure: () => 0.6 } }), 'memory', result(1));
    expect(counted('not_inserted')).to.equal(3);
    expect(await admin.dbsize()).to.equal(0);
    await keep(build({ memory: { pressure: () => 0.59 } }), 'memory', result(1));
    expect(await admin.dbsize()).to.equal(1);
  });

  it('does not wait for a Redis that is slow, and leaves it alone for a while', async () => {
    const cache = build({ lookupTimeoutMs: 20 });
    await keep(cache, 'a', result(1));
    const ended: string[] = [];
    await admin.call('CLIENT', 'PAUSE', '300', 'ALL');
    const paused = redis.ping().then(() => ended.push('pause'));
    expect(kinds(await Promise.all([cache.lookup('a'), cache.lookup('b')]))).to.deep.equal([
      'bypass',
      'bypass',
    ]);
    ended.push('look-up');
    expect(faults).to.have.length(1);
    await paused;
    expect(ended).to.deep.equal(['look-up', 'pause']);
    const calls = await callsOf('mget');
    expect(kinds(await Promise.all([cache.lookup('a'), cache.lookup('a')]))).to.deep.equal([
      'bypass',
      'bypass',
    ]);
    cache.insert('c', ttlMs, result(1));
    expect(await callsOf('mget')).to.equal(calls);
    expect([counted('bypass'), counted('not_inserted')]).to.deep.equal([4, 1]);
    await until(async () => (await cache.lookup('a')).kind === 'hit', timeout());
    expect(faults).to.have.length(1);
  });

  it('says so once when inserts are refused, and goes on when there is room again', async () => {
    const cache = build();
    await keep(cache, 'a', result(1));
    await admin.config('SET', 'maxmemory', '1');
    await keep(cache, 'b', result(2));
    expect(counted('not_inserted')).to.equal(1);
    expect(faults).to.have.length(1);
    await admin.config('SET', 'maxmemory', '0');
    await until(async () => {
      await keep(cache, 'b', result(2));
      return (await cache.lookup('b')).kind === 'hit';
    }, timeout());
  });

  it('is passed by while Redis is gone, and serves again once it is back', async () => {
    const cache = build();
    await keep(cache, 'a', result(1));
    await server.kill();
    const found = await cache.lookup('a');
    expect(found.kind).to.equal('bypass');
    cache.insert('b', ttlMs, result(2));
    await until(async () => redis.status !== 'ready', timeout());
    expect(kinds(await Promise.all([cache.lookup('a'), cache.lookup('b')]))).to.deep.equal([
      'bypass',
      'bypass',
    ]);
    await server.restart();
    await until(async () => (await cache.lookup('new')).kind === 'miss', timeout());
    await keep(cache, 'new', result(3));
    expect(await cache.lookup('new')).to.have.property('kind', 'hit');
  });
});
