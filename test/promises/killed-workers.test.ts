import type { StackMember } from '../support/stack.ts';
import { expectHonest, expectSettled, useHarmable } from './support/promise-stack.ts';
import { repeat, sized } from './support/schedule.ts';
import { startTraffic } from './support/traffic.ts';

const kills = sized(5, 20);

describe('one of two workers is killed every 3 s', () => {
  const harmable = useHarmable({ workers: 2 });

  it('64 callers with a deadline of 5 s: no request fails, no answer is wrong', async function () {
    this.timeout((kills + 10) * 4000);
    const { stack } = harmable();
    const traffic = startTraffic({ stack, callers: 64, timeoutMs: 5000 });
    await traffic.served(200);
    await repeat(kills, 3000, (time) => killAndReplace(stack.workers[time % 2]!));
    await traffic.served(200);
    expectHonest(await traffic.stop(), [200]);
    await expectSettled(stack);
  });
});

/** The other one must not be killed before this one is back: the promise is for one at a time. */
async function killAndReplace(worker: StackMember): Promise<void> {
  await worker.kill('SIGKILL');
  worker.start();
  await worker.ready();
}
