import { expect } from 'chai';
import type { Redis } from 'ioredis';
import { RateLedger } from '../../src/api/rate-ledger.ts';
import { panesCounted, panesPerWindow } from '../../src/api/sliding-window.ts';
import { createRedis } from '../../src/redis.ts';
import { randomPrefix, redisUrl } from '../support/services.ts';

describe('RateLedger', () => {
  const windowMs = 60_000;
  const paneMs = windowMs / panesPerWindow;
  const caller = 'default:a';
  let redis: Redis;
  let prefix: string;
  let ledger: RateLedger;
  const keyOf = () => `{${prefix}}:limit:${caller}`;

  beforeEach(async () => {
    prefix = randomPrefix();
    redis = createRedis('blocking', {
      url: redisUrl(),
      connectTimeoutMs: 1000,
      commandTimeoutMs: 1500,
      retryDelayMsMax: 100,
      onError: () => {},
    });
    ledger = new RateLedger({ redis, prefix, windowMs });
  });
  afterEach(() => redis.disconnect());

  it('gives out no more than the limit, and says when there is more', async () => {
    const first = await ledger.lease({ caller, limit: 10, asked: 7, returned: null });
    const second = await ledger.lease({ caller, limit: 10, asked: 7, returned: null });
    const third = await ledger.lease({ caller, limit: 10, asked: 7, returned: null });
    expect([first.tokens, second.tokens, third.tokens]).to.deep.equal([7, 3, 0]);
    expect([first.remaining, second.remaining, third.remaining]).to.deep.equal([3, 0, 0]);
    expect(first.paneLeftMs).to.be.within(1, paneMs);
    expect(first.freedInMs).to.equal(first.paneLeftMs + (panesCounted - 1) * paneMs);
    expect(third.freedInMs)
      .to.be.at.most(first.freedInMs)
      .and.be.within(windowMs, windowMs + 2 * paneMs);
  });

  it('keeps callers apart, and tells of a limit that was lowered', async () => {
    await ledger.lease({ caller, limit: 10, asked: 7, returned: null });
    expect(await ledger.lease({ caller: 'default:b', limit: 5, asked: 5, returned: null })).to.include({
      tokens: 5,
    });
    expect(await ledger.lease({ caller, limit: 5, asked: 1, returned: null })).to.include({
      tokens: 0,
      remaining: 0,
    });
  });

  it('takes back what was not spent, and no more than was given out', async () => {
    const { pane } = await ledger.lease({ caller, limit: 10, asked: 7, returned: null });
    const back = await ledger.lease({ caller, limit: 10, asked: 0, returned: { pane, tokens: 4 } });
    expect(back).to.include({ tokens: 0, remaining: 7 });
    expect(await ledger.lease({ caller, limit: 10, asked: 0, returned: { pane, tokens: 400 } })).to.include({
      remaining: 10,
    });
    expect(await redis.hlen(keyOf())).to.equal(0);
    await ledger.lease({ caller, limit: 10, asked: 1, returned: { pane: pane - 5, tokens: 3 } });
    expect(await redis.hvals(keyOf())).to.deep.equal(['1']);
  });

  it('counts a pane until it has left the window, and none of a clock that was set back', async () => {
    const { pane } = await ledger.lease({ caller, limit: 100, asked: 0, returned: null });
    await redis.hset(keyOf(), {
      [pane + 2]: 50,
      [pane - panesCounted]: 20,
      [pane - panesCounted + 2]: 5,
    });
    const lease = await ledger.lease({ caller, limit: 100, asked: 1, returned: null });
    expect(lease).to.include({ tokens: 1, remaining: 94 });
    expect(lease.freedInMs).to.be.at.most(2 * paneMs);
    expect(Object.keys(await redis.hgetall(keyOf()))).to.have.members([
      String(pane - panesCounted + 2),
      String(lease.pane),
    ]);
  });

  it('leaves nothing behind', async () => {
    await ledger.lease({ caller, limit: 10, asked: 1, returned: null });
    expect(await redis.pttl(keyOf())).to.be.within(windowMs, windowMs + 4 * paneMs);
  });
});
