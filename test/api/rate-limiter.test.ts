import { expect } from 'chai';
import type { Redis } from 'ioredis';
import { RateLedger } from '../../src/api/rate-ledger.ts';
import { RateLimiter } from '../../src/api/rate-limiter.ts';
import type { RateVerdict } from '../../src/api/rate-limiter.ts';
import { panesPerWindow } from '../../src/api/sliding-window.ts';
import { createRedis } from '../../src/redis.ts';
import { startRedis } from '../support/redis-server.ts';
import { randomPrefix, redisUrl } from '../support/services.ts';
import { MemoryLedger } from './support/memory-ledger.ts';
import { nextEvent } from '../queues/inbox.ts';

const windowMs = 60_000;
/** Lets what has arrived be read. */
const turnOver = () => new Promise((resolve) => setImmediate(resolve));

/** A limiter and its ledger by one clock; the ledger's panes begin elsewhere, as those of another machine do. */
describe('RateLimiter', () => {
  let nowMs: number;
  let ledger: MemoryLedger;
  let limiter: RateLimiter;
  const others: RateLimiter[] = [];

  function create(processes = 1): RateLimiter {
    const made = new RateLimiter({ ledger, processes, windowMs, now: () => nowMs });
    others.push(made);
    return made;
  }
  function pass(ms: number): void {
    nowMs += ms;
    ledger.nowMs += ms;
  }
  async function take(count: number, limit: number, from = limiter, id = 'a'): Promise<number> {
    let allowed = 0;
    for (let each = 0; each < count; each++) {
      const verdict = await from.take('default', id, limit);
      if (verdict.allowed) allowed += 1;
    }
    return allowed;
  }

  beforeEach(() => {
    nowMs = 5000;
    ledger = new MemoryLedger(1_000_300, windowMs / panesPerWindow);
    limiter = create();
  });
  afterEach(async () => {
    ledger.before = () => {};
    await Promise.all(others.splice(0).map((each) => each.close()));
  });

  it('lets the limit through, and no more until the first have left the window', async () => {
    expect(await take(150, 100)).to.equal(100);
    pass(60_600);
    expect(await take(1, 100)).to.equal(0);
    pass(1100);
    expect(await take(150, 100)).to.equal(100);
  });

  it('says in two structured fields what is left and when there is more', async () => {
    const first = await limiter.take('default', 'a', 100);
    expect(first).to.deep.equal({
      allowed: true,
      headers: ['RateLimit-Policy', '"default";q=100;w=60', 'RateLimit', '"default";r=99;t=62'],
      retryAfterS: 62,
    });
    await take(150, 100);
    pass(30_000);
    const refused = await limiter.take('default', 'a', 100);
    expect(refused).to.deep.equal({
      allowed: false,
      headers: ['RateLimit-Policy', '"default";q=100;w=60', 'RateLimit', '"default";r=0;t=32'],
      retryAfterS: 32,
    });
    pass(refused.retryAfterS * 1000);
    expect(await take(1, 100)).to.equal(1);
  });

  it('decides at once with a lease in hand, and when there is nothing more in this pane', async () => {
    await take(1, 4000);
    for (let each = 0; each < 40; each++)
      expect(limiter.take('default', 'a', 4000)).to.have.property('allowed', true);
    await take(20, 20, limiter, 'b');
    await take(1, 20, limiter, 'b');
    const trips = ledger.requests.length;
    for (let each = 0; each < 100; each++)
      expect(limiter.take('default', 'b', 20)).to.have.property('allowed', false);
    expect(ledger.requests).to.have.length(trips);
  });

  it('leases a fortieth at a time, and the next before the last is spent', async () => {
    expect(await take(4000, 4000)).to.equal(4000);
    expect(ledger.requests.length).to.be.within(40, 85);
    expect(Math.max(...ledger.requests.map(({ asked }) => asked))).to.equal(100);
    expect(await take(20, 20, limiter, 'b')).to.equal(20);
    expect(ledger.requests.filter(({ caller }) => caller === 'default:b')).to.have.length(20);
  });

  it('makes one trip for all who wait', async () => {
    const gate = Promise.withResolvers<void>();
    ledger.before = () => gate.promise;
    const waiting = Array.from({ length: 30 }, async () => limiter.take('default', 'a', 20));
    gate.resolve();
    const verdicts = await Promise.all(waiting);
    expect(verdicts.filter(({ allowed }) => allowed)).to.have.length(20);
    expect(ledger.requests).to.have.length(2);
  });

  it('is exact over several processes that take turns', async () => {
    const all = [limiter, create(), create()];
    let allowed = 0;
    for (let round = 0; round < 700; round++) allowed += await take(1, 600, all[round % 3]);
    expect(allowed).to.equal(600);
  });

  it('brings back what it has leased and not spent, when its pane has ended and when it stops', async () => {
    await take(1, 4000);
    const { pane } = await ledger.lease({ caller: 'default:a', limit: 4000, asked: 0, returned: null });
    pass(1000);
    await take(1, 4000);
    expect(ledger.requests.at(-1)!.returned).to.deep.equal({ pane, tokens: 99 });
    await limiter.close();
    expect(ledger.requests.at(-1)).to.deep.include({ asked: 0, returned: { pane: pane + 1, tokens: 99 } });
    const { remaining } = await ledger.lease({ caller: 'default:a', limit: 4000, asked: 0, returned: null });
    expect(remaining).to.equal(3998);
  });

  it('gives back a token that was not due', async () => {
    for (let each = 0; each < 50; each++) {
      expect(await take(1, 20)).to.equal(1);
      limiter.giveBack('default', 'a');
    }
    limiter.giveBack('default', 'nobody');
    expect(await take(30, 20)).to.equal(20);
  });

  it('keeps classes, callers and changed limits apart', async () => {
    expect(await take(30, 20)).to.equal(20);
    expect((await limiter.take('sensitive', 'a', 20)).allowed).to.equal(true);
    expect(await take(1, 20, limiter, 'b')).to.equal(1);
    expect(await take(30, 30)).to.equal(10);
  });

  it('remembers a bounded number of callers, and Redis the others', async () => {
    expect(await take(20, 20)).to.equal(20);
    for (let each = 0; each < 10_000; each++) await limiter.take('default', `b${each}`, 20);
    expect(await take(1, 20)).to.equal(0);
    expect(ledger.requests.at(-1)!.caller).to.equal('default:a');
  });

  describe('while Redis is out of reach', () => {
    function lose(): void {
      ledger.before = () => {
        throw new Error('gone');
      };
    }

    it('goes on from what it knows, allows its share, and comes back by itself', async () => {
      expect(await take(40, 100)).to.equal(40);
      pass(1000);
      lose();
      // Less the lot that was on its way back.
      expect(await take(150, 100)).to.be.within(58, 60);
      expect(limiter.local).to.equal(true);
      const refused = limiter.take('default', 'a', 100) as RateVerdict;
      expect(refused.headers[3]).to.match(/^"default";r=0;t=6[12]$/);
      const trips = ledger.requests.length;
      await take(100, 100);
      expect(ledger.requests.length).to.equal(trips);
      ledger.before = () => {};
      pass(500);
      await take(1, 100);
      expect(limiter.local).to.equal(false);
      // Redis knows of the forty, and of the lot.
      expect(await take(150, 100)).to.be.within(58, 60);
    });

    it('shares a limit among the processes there are', async () => {
      lose();
      const [one, two] = [create(2), create(2)];
      expect((await take(100, 101, one)) + (await take(100, 101, two))).to.equal(102);
    });

    it('slides its own window too', async () => {
      lose();
      expect(await take(30, 20)).to.equal(20);
      pass(60_000);
      expect(await take(1, 20)).to.equal(0);
      pass(2000);
      expect(await take(30, 20)).to.equal(20);
      limiter.giveBack('default', 'a');
      expect(await take(30, 20)).to.equal(1);
    });

    it('waits for a silent Redis once and not for long; what comes too late is brought back', async () => {
      const gate = Promise.withResolvers<void>();
      ledger.before = () => gate.promise;
      expect((await limiter.take('default', 'a', 4000)).allowed).to.equal(true);
      expect(limiter.local).to.equal(true);
      expect(limiter.take('default', 'a', 4000)).not.to.be.instanceOf(Promise);
      gate.resolve();
      ledger.before = () => {};
      pass(1000);
      await take(1, 4000);
      expect(limiter.local).to.equal(false);
      expect(await take(1, 4000)).to.equal(1);
      await limiter.close();
      const { remaining } = await ledger.lease({
        caller: 'default:a',
        limit: 4000,
        asked: 0,
        returned: null,
      });
      expect(remaining).to.equal(3999);
    });
  });
});

/** With short windows, since Redis has a clock of its own. */
describe('RateLimiter over Redis', () => {
  const shortMs = 1800;
  const clients: Redis[] = [];
  const limiters: RateLimiter[] = [];

  async function create(url: string, prefix: string, processes = 1): Promise<RateLimiter> {
    const redis = createRedis('command', {
      url,
      connectTimeoutMs: 1000,
      commandTimeoutMs: 1500,
      retryDelayMsMax: 50,
      onError: () => {},
    });
    clients.push(redis);
    await nextEvent(redis, 'ready');
    const limiter = new RateLimiter({
      ledger: new RateLedger({ redis, prefix, windowMs: shortMs }),
      processes,
      windowMs: shortMs,
      now: () => performance.now(),
    });
    limiters.push(limiter);
    return limiter;
  }

  afterEach(async () => {
    await Promise.all(limiters.splice(0).map((limiter) => limiter.close()));
    for (const client of clients.splice(0)) client.disconnect();
  });

  /** Instants at which a token was taken, of callers who ask all the time for `ms`. */
  async function greedy(from: readonly RateLimiter[], limit: number, ms: number): Promise<number[]> {
    const taken: number[] = [];
    const untilMs = performance.now() + ms;
    await Promise.all(
      from.map(async (limiter) => {
        while (performance.now() < untilMs) {
          const verdict = await limiter.take('default', 'a', limit);
          if (verdict.allowed) taken.push(performance.now());
          else await turnOver();
        }
      }),
    );
    return taken.toSorted((left, right) => left - right);
  }

  function mostInAWindow(taken: readonly number[]): number {
    let first = 0;
    let most = 0;
    for (const [last, instant] of taken.entries()) {
      while (taken[first]! <= instant - shortMs) first += 1;
      most = Math.max(most, last - first + 1);
    }
    return most;
  }

  for (const [processes, limit] of [
    [1, 20],
    [3, 100],
    [3, 3000],
  ] as const)
    it(`keeps ${limit} over ${processes} in every window, across its edges, and gives all of it`, async function () {
      this.timeout(10_000);
      const prefix = randomPrefix();
      const all = await Promise.all(Array.from({ length: processes }, () => create(redisUrl(), prefix)));
      const windows = 2.5;
      const taken = await greedy(all, limit, windows * shortMs);
      expect(mostInAWindow(taken))
        .to.be.at.most(limit)
        .and.at.least(0.95 * limit);
      // Greedy callers take all at once: at 0, 1.03 and 2.07 windows.
      expect(taken.length).to.be.within(3 * 0.95 * limit, 3 * limit);
    });

  it('loses one lot at most with a process that dies', async function () {
    this.timeout(10_000);
    const prefix = randomPrefix();
    const dying = await create(redisUrl(), prefix);
    const living = await create(redisUrl(), prefix);
    let taken = 0;
    for (let each = 0; each < 200; each++) if ((await dying.take('default', 'a', 4000)).allowed) taken += 1;
    clients[0]!.disconnect();
    for (let each = 0; each < 4000; each++) if ((await living.take('default', 'a', 4000)).allowed) taken += 1;
    expect(taken).to.be.within(4000 - 100, 4000);
  });

  it('goes on while Redis is killed, and is exact again when it is back', async function () {
    this.timeout(20_000);
    const server = await startRedis();
    try {
      const limiter = await create(server.url, randomPrefix());
      expect((await greedy([limiter], 100, 200)).length).to.equal(100);
      await server.kill();
      await greedy([limiter], 100, 300);
      expect(limiter.local).to.equal(true);
      await server.restart();
      while (limiter.local) {
        await limiter.take('default', 'b', 1);
        await turnOver();
      }
      const taken = await greedy([limiter], 100, 1.5 * shortMs);
      expect(mostInAWindow(taken)).to.be.at.most(100);
    } finally {
      await server.stop();
    }
  });
});
