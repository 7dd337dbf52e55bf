import { expect } from 'chai';
import { scrape } from '../integration/metrics.ts';
import { expectHonest, expectSettled, useHarmable } from './support/promise-stack.ts';
import { sized } from './support/schedule.ts';
import { startTraffic } from './support/traffic.ts';

const answers = sized(3000, 100_000);

describe('two API processes and two workers', () => {
  const harmable = useHarmable({ apis: 2, workers: 2 });

  it('under load: everybody gets his own answer, and all four have a part in it', async function () {
    this.timeout(answers * 4 + 30_000);
    const { stack } = harmable();
    const traffic = startTraffic({ stack, callers: 64, timeoutMs: 10_000 });
    await traffic.served(answers);
    expectHonest(await traffic.stop(), [200]);
    await expectSettled(stack);
    for (const api of stack.apis)
      expect((await scrape(api)).sum('millrace_jobs_total', { phase: 'settled' })).to.be.above(0);
    for (const worker of stack.workers)
      expect((await scrape(worker)).sum('millrace_runs_total', { outcome: 'succeeded' })).to.be.above(0);
  });

  it('each restarted in turn under load: no request fails', async function () {
    this.timeout(90_000);
    const { stack } = harmable();
    const [kept, restarted] = stack.apis as [(typeof stack.apis)[0], (typeof stack.apis)[0]];
    const traffic = startTraffic({ stack: { apis: [kept], key: stack.key }, callers: 16, timeoutMs: 10_000 });
    for (const member of [...stack.workers, restarted]) {
      await traffic.served(100);
      await member.stop();
      member.start();
      await member.ready();
    }
    await traffic.served(100);
    expectHonest(await traffic.stop(), [200]);
    await expectSettled(stack);
  });
});
