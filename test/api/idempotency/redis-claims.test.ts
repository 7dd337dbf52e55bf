import { expect } from 'chai';
import type { Redis } from 'ioredis';
import { until } from '../../../src/dev/readiness.ts';
import { RedisClaims } from '../../../src/api/idempotency/redis-claims.ts';
import type { KeptAnswer } from '../../../src/api/idempotency/claims.ts';
import { createRedisKeys } from '../../../src/queues/lanes.ts';
import type { RedisKeys } from '../../../src/queues/lanes.ts';
import { createRedis } from '../../../src/redis.ts';
import { randomPrefix, redisUrl } from '../../support/services.ts';

const first = { entry: 'e', token: 'one', target: 't', bodyDigest: 'b', batchId: 'batch_1' };
const second = { ...first, token: 'two', batchId: 'batch_2' };
const answer: KeptAnswer = { status: 200, headers: ['Content-Type', 'application/json'], body: '{}' };

describe('claims in Redis', () => {
  let redis: Redis;
  let keys: RedisKeys;
  let claims: RedisClaims;
  beforeEach(async () => {
    redis = createRedis('command', {
      url: redisUrl(),
      connectTimeoutMs: 1000,
      commandTimeoutMs: 5000,
      retryDelayMsMax: 1000,
      onError: () => undefined,
    });
    keys = createRedisKeys(randomPrefix());
    await new Promise((resolve) => redis.once('ready', resolve));
    claims = new RedisClaims({ redis, keys, leaseMs: 60_000, retentionMs: 3_600_000 });
  });
  afterEach(() => redis.disconnect());

  const brief = () => new RedisClaims({ redis, keys, leaseMs: 1, retentionMs: 3_600_000 });
  const leaseOver = () =>
    until(async () => (await claims.claim(second)).kind === 'claimed', AbortSignal.timeout(5000));

  it('go to whoever asks first; asking again is harmless', async () => {
    const claimed = { kind: 'claimed', batchId: 'batch_1', takenOver: false, bodyDigest: 'b' };
    expect(await claims.claim(first)).to.deep.equal(claimed);
    expect(await claims.claim(first)).to.deep.equal(claimed);
    const held = await claims.claim(second);
    expect(held).to.include({ kind: 'held' });
    expect(held.kind === 'held' && held.leaseLeftMs).to.be.within(1, 60_000);
  });

  it('go to one of a hundred at once', async () => {
    const outcomes = await Promise.all(
      Array.from({ length: 100 }, (_, n) => claims.claim({ ...first, token: `${n}` })),
    );
    expect(outcomes.filter(({ kind }) => kind === 'claimed')).to.have.length(1);
  });

  it('end with an answer, which everybody gets', async () => {
    await claims.claim(first);
    expect(await claims.complete('e', 'one', 'b', answer)).to.equal(true);
    const answered = { kind: 'answered', batchId: 'batch_1', bodyDigest: 'b', answer };
    expect(await claims.claim(second)).to.deep.equal(answered);
    expect(await claims.claim(first)).to.deep.equal(answered);
  });

  it('keep an answer without its body', async () => {
    await claims.claim(first);
    await claims.complete('e', 'one', 'b', { ...answer, body: null });
    expect(await claims.claim(second)).to.have.nested.property('answer.body', null);
  });

  it('are refused to other requests, at work and answered', async () => {
    await claims.claim(first);
    const otherTarget = { ...second, target: 'u' };
    const otherBody = { ...second, bodyDigest: 'c' };
    expect(await claims.claim(otherTarget)).to.deep.equal({ kind: 'differs', what: 'target' });
    expect(await claims.claim(otherBody)).to.deep.equal({ kind: 'differs', what: 'body' });
    await claims.complete('e', 'one', 'b', answer);
    expect(await claims.claim(otherTarget)).to.deep.equal({ kind: 'differs', what: 'target' });
    expect(await claims.claim(otherBody)).to.deep.equal({ kind: 'differs', what: 'body' });
  });

  it('compare a body that streams once it is known', async () => {
    const streaming = { ...first, bodyDigest: undefined };
    await claims.claim(streaming);
    expect(await claims.claim({ ...streaming, token: 'two' })).to.include({ kind: 'held' });
    await claims.complete('e', 'one', 'b', answer);
    expect(await claims.claim({ ...streaming, token: 'two' })).to.include({
      kind: 'answered',
      bodyDigest: 'b',
    });
    expect(await claims.claim({ ...second, bodyDigest: 'c' })).to.include({ kind: 'differs' });
  });

  it('are taken over when the lease is over, with the first batch id, and the late one stores nothing', async () => {
    await brief().claim(first);
    await leaseOver();
    expect(await claims.claim(second)).to.include({ kind: 'claimed', batchId: 'batch_1' });
    expect(await claims.complete('e', 'one', 'b', { ...answer, body: 'late' })).to.equal(false);
    await claims.release('e', 'one', false);
    await claims.renew(new Map([['e', 'one']]));
    expect(await claims.claim(first)).to.include({ kind: 'held' });
    expect(await claims.complete('e', 'two', 'b', answer)).to.equal(true);
  });

  it('hand on what was noted before a crash', async () => {
    const streaming = { ...first, bodyDigest: undefined };
    expect(await brief().claim(streaming)).to.include({ bodyDigest: undefined });
    expect(await claims.note('e', 'one', 'batch', 'batch_9')).to.equal(true);
    expect(await claims.note('e', 'one', 'digest', 'b')).to.equal(true);
    await leaseOver();
    const taken = { kind: 'claimed', batchId: 'batch_9', takenOver: true, bodyDigest: 'b' };
    expect(await claims.claim({ ...streaming, token: 'two' })).to.include({
      kind: 'claimed',
      batchId: 'batch_9',
    });
    expect(await claims.note('e', 'one', 'batch', 'batch_10')).to.equal(false);
    await claims.release('e', 'two', true);
    expect(await claims.claim({ ...streaming, token: 'three' })).to.deep.equal(taken);
    expect(await claims.claim({ ...second, token: 'four', bodyDigest: 'c' })).to.include({ kind: 'differs' });
  });

  it('say that they were taken over', async () => {
    await brief().claim(first);
    let outcome = await claims.claim(second);
    await until(async () => {
      if (outcome.kind === 'held') outcome = await claims.claim(second);
      return outcome.kind !== 'held';
    }, AbortSignal.timeout(5000));
    expect(outcome).to.deep.equal({
      kind: 'claimed',
      batchId: 'batch_1',
      takenOver: true,
      bodyDigest: 'b',
    });
  });

  it('live on while they are renewed', async () => {
    await brief().claim(first);
    await claims.renew(new Map([['e', 'one']]));
    const held = await claims.claim(second);
    expect(held.kind === 'held' && held.leaseLeftMs).to.be.above(10_000);
  });

  it('are forgotten when they are released', async () => {
    await claims.claim(first);
    await claims.release('e', 'one', false);
    expect(await redis.exists(keys.idempotency('e'))).to.equal(0);
    expect(await claims.claim({ ...second, bodyDigest: 'c' })).to.include({
      kind: 'claimed',
      batchId: 'batch_2',
    });
  });

  it('expire', async () => {
    await claims.claim(first);
    expect(await redis.pttl(keys.idempotency('e'))).to.be.within(1, 3_600_000);
    await claims.complete('e', 'one', 'b', answer);
    expect(await redis.pttl(keys.idempotency('e'))).to.be.within(1, 3_600_000);
  });

  it('are service_unavailable without Redis', async () => {
    redis.disconnect();
    const error = await claims.claim(first).catch((thrown: unknown) => thrown);
    expect(error).to.have.property('code', 'service_unavailable');
  });
});
