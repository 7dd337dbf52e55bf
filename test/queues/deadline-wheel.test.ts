import { expect } from 'chai';
import { createDeadlineWheel } from '../../src/queues/deadline-wheel.ts';

describe('deadline wheel', () => {
  const wheels: { close(): void }[] = [];
  afterEach(() => {
    for (const wheel of wheels.splice(0)) wheel.close();
  });
  const nowMs = (): number => performance.now();
  const makeWheel = (clock = nowMs): ReturnType<typeof createDeadlineWheel> => {
    const wheel = createDeadlineWheel(clock);
    wheels.push(wheel);
    return wheel;
  };
  const expiry = (wheel: ReturnType<typeof createDeadlineWheel>, deadlineMs: number): Promise<number> =>
    new Promise((resolve) => wheel.add({ deadlineMs, expire: () => resolve(nowMs()) }));

  it('tells each item after its deadline, the earlier first, whatever the order of adding', async () => {
    const wheel = makeWheel();
    const startMs = nowMs();
    const order: number[] = [];
    const delaysMs = [60, 5, 31, 30, 0, -100];
    const told = delaysMs.map(async (delayMs) => {
      const atMs = await expiry(wheel, startMs + delayMs);
      expect(atMs).to.be.at.least(startMs + delayMs);
      order.push(delayMs);
    });
    await Promise.all(told);
    expect(order.at(-1)).to.equal(60);
    expect(order[0]).to.equal(-100);
  });

  it('says nothing of an item that was removed', async () => {
    const wheel = makeWheel();
    const startMs = nowMs();
    const removed = {
      deadlineMs: startMs + 5,
      expire: (): void => {
        throw new Error('was removed');
      },
    };
    wheel.add(removed);
    wheel.remove(removed);
    wheel.remove(removed);
    await expiry(wheel, startMs + 25);
  });

  it('lets an expiring item add another', async () => {
    const wheel = makeWheel();
    const first = await expiry(wheel, nowMs() + 1);
    expect(await expiry(wheel, nowMs() + 1)).to.be.at.least(first);
  });
});
