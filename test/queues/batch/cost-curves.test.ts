import { expect } from 'chai';
import type { Redis } from 'ioredis';
import { createRedisCostCurves } from '../../../src/queues/batch/cost-curves.ts';
import { createRedisKeys } from '../../../src/queues/lanes.ts';
import { randomPrefix, redisUrl } from '../../support/services.ts';
import { closeConnections, connect } from '../builders.ts';
import { rejectionOf } from '../inbox.ts';

const digest = 'e'.repeat(64);

describe('cost curves', () => {
  const keys = createRedisKeys(randomPrefix());
  let redis: Redis;

  beforeEach(async () => {
    redis = await connect('command', redisUrl());
  });
  afterEach(() => closeConnections());

  it('say nothing of a version that was not measured', async () => {
    expect(await createRedisCostCurves({ redis, keys }).rowsFor('f'.repeat(64), 25)).to.equal(undefined);
  });

  it('are read by other processes, and expire', async () => {
    await createRedisCostCurves({ redis, keys }).publish(digest, [
      [1, 0.123456],
      [1024.4, 20],
      [2048, 30],
    ]);
    const reader = createRedisCostCurves({ redis: await connect('command', redisUrl()), keys });
    expect(await reader.rowsFor(digest, 25)).to.equal(1536);
    expect(await redis.pttl(keys.costCurve(digest))).to.be.greaterThan(0);
  });

  it('are suggested only where nothing is known', async () => {
    const curves = createRedisCostCurves({ redis, keys });
    const other = 'a'.repeat(64);
    await curves.suggest(other, [[50, 25]]);
    expect(await curves.rowsFor(other, 25)).to.equal(50);
    await curves.publish(other, [[200, 25]]);
    await curves.suggest(other, [[100, 25]]);
    expect(await curves.rowsFor(other, 25)).to.equal(200);
    expect(await redis.pttl(keys.costCurve(other))).to.be.greaterThan(0);
  });

  it('say few rows while only zeros were measured', async () => {
    const curves = createRedisCostCurves({ redis, keys });
    const fast = 'b'.repeat(64);
    await curves.suggest(fast, [[10_000, 25]]);
    expect(await curves.rowsFor(fast, 25)).to.equal(64);
    await curves.publish(fast, [[10_000, 25]]);
    expect(await curves.rowsFor(fast, 25)).to.equal(10_000);
  });

  it('say nothing where the key holds something else', async () => {
    const curves = createRedisCostCurves({ redis, keys });
    for (const points of ['[[0, 1]]', '[[1]]', '["x"]', '[]', '7', '']) {
      const text = points === '' ? 'no JSON' : `{"seen":true,"points":${points}}`;
      await redis.set(keys.costCurve(digest), text);
      expect(await curves.rowsFor(digest, 25)).to.equal(undefined);
    }
  });

  it('say so when Redis is out of reach', async () => {
    const curves = createRedisCostCurves({ redis, keys });
    redis.disconnect();
    expect(await rejectionOf(curves.rowsFor(digest, 25))).to.have.property('code', 'service_unavailable');
    expect(await rejectionOf(curves.publish(digest, [[1, 1]]))).to.have.property(
      'code',
      'service_unavailable',
    );
  });
});
