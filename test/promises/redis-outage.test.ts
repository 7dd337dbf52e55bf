import { expect } from 'chai';
import { expectHonest, expectSettled, pidsOf, untilServed, useHarmable } from './support/promise-stack.ts';
import { lasting, sized } from './support/schedule.ts';
import { startTraffic } from './support/traffic.ts';

/** BullMQ's workers were wedged for good by outages that outlast their blocking read: so one is longer, one shorter. */
const outagesS = sized([2, 12], [2, 12, 60]);
/** The promise is 1.5 s on a machine that is not short of everything; measured below 0.5 s. */
const recoveryMs = 10_000;

describe('Redis is killed and comes back', () => {
  const harmable = useHarmable({ apis: 2, workers: 2 });

  for (const outageS of outagesS)
    it(`after ${outageS} s: refused at once meanwhile, served soon after, nothing restarts`, async function () {
      this.timeout(outageS * 1000 + 60_000);
      const { stack, redis } = harmable();
      const pids = pidsOf(stack);
      const traffic = startTraffic({ stack, callers: 16, timeoutMs: 2000 });
      await traffic.served(200);
      await redis.kill();
      await lasting(outageS * 1000);
      await redis.restart();
      const tookMs = await untilServed(stack, recoveryMs);
      process.stderr.write(`        first answer ${Math.round(tookMs)} ms after Redis was back\n`);
      await traffic.served(200);
      // What Redis held as it was killed may be gone with it.
      expectHonest(await traffic.stop(), [200, 503, 504]);
      await expectSettled(stack);
      expect(pidsOf(stack)).to.deep.equal(pids);
    });
});
