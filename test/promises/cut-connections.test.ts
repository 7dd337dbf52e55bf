import { expect } from 'chai';
import { withRedis } from '../integration/redis.ts';
import { expectHonest, expectSettled, pidsOf, useHarmable } from './support/promise-stack.ts';
import { repeat, sized } from './support/schedule.ts';
import { startTraffic } from './support/traffic.ts';

const cuts = sized(5, 30);

describe('every second all connections to Redis are cut', () => {
  const harmable = useHarmable({ apis: 2, workers: 2 });

  for (const [type, statuses] of [
    // A result whose message was lost is read back.
    ['pubsub', [200]],
    // Commands are refused while their connection is being made anew.
    ['normal', [200, 503]],
  ] as const)
    it(`of type ${type}: nobody is answered wrongly, late or not at all`, async function () {
      this.timeout((cuts + 15) * 2000);
      const { stack } = harmable();
      const pids = pidsOf(stack);
      const traffic = startTraffic({ stack, callers: 32, timeoutMs: 5000 });
      await traffic.served(200);
      await withRedis(stack, (admin) =>
        repeat(cuts, 1000, async () => {
          const cut = await admin.call('CLIENT', 'KILL', 'TYPE', type, 'SKIPME', 'yes');
          expect(cut).to.be.at.least(1);
        }),
      );
      await traffic.served(200);
      expectHonest(await traffic.stop(), statuses);
      await expectSettled(stack);
      expect(pidsOf(stack)).to.deep.equal(pids);
    });
});
