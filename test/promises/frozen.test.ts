import { expect } from 'chai';
import { withRedis } from '../integration/redis.ts';
import { expectHonest, expectSettled, pidsOf, untilServed, useHarmable } from './support/promise-stack.ts';
import type { Harmable } from './support/promise-stack.ts';
import { lasting } from './support/schedule.ts';
import { startTraffic } from './support/traffic.ts';

/** Shorter than what each freeze lasts: whoever asks in it must be told so in time. */
const timeoutMs = 2000;

/** Each resolves when the freeze is over. */
const freezes: readonly (readonly [string, (harmable: Harmable) => Promise<void>])[] = [
  [
    'Redis takes no commands for 4 s (CLIENT PAUSE)',
    async ({ stack }) => {
      await withRedis(stack, (redis) => redis.call('CLIENT', 'PAUSE', '4000'));
      await lasting(4000);
    },
  ],
  [
    'Redis is busy for 4 s (DEBUG SLEEP)',
    async ({ stack }) => {
      await withRedis(stack, (redis) => redis.call('DEBUG', 'SLEEP', '4'));
    },
  ],
  [
    'Redis is stopped for 4 s (SIGSTOP)',
    async ({ redis }) => {
      process.kill(redis.pid, 'SIGSTOP');
      await lasting(4000);
      process.kill(redis.pid, 'SIGCONT');
    },
  ],
  [
    'one of two workers is stopped for 5 s and comes back (SIGSTOP)',
    async ({ stack }) => {
      stack.workers[0]!.signal('SIGSTOP');
      await lasting(5000);
      stack.workers[0]!.signal('SIGCONT');
    },
  ],
];

describe('a freeze under load', () => {
  const harmable = useHarmable({ apis: 2, workers: 2 });

  for (const [name, freeze] of freezes)
    it(`${name}: no answer is wrong, none comes twice or past its deadline`, async function () {
      this.timeout(60_000);
      const { stack } = harmable();
      const pids = pidsOf(stack);
      const traffic = startTraffic({ stack, callers: 32, timeoutMs });
      await traffic.served(200);
      await freeze(harmable());
      await untilServed(stack);
      await traffic.served(200);
      expectHonest(await traffic.stop(), [200, 503, 504]);
      await expectSettled(stack);
      expect(pidsOf(stack)).to.deep.equal(pids);
    });
});
