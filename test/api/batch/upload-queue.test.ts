import { expect } from 'chai';
import { UploadQueue } from '../../../src/api/batch/upload-queue.ts';
import { Admission } from '../../../src/api/admission.ts';

const unsaturated = { limit: () => Number.POSITIVE_INFINITY, answered: () => undefined };

function start(inFlightMax: number, over: { waitingMax?: number; waitMsMax?: number } = {}) {
  const admission = new Admission(inFlightMax, unsaturated);
  return { admission, queue: new UploadQueue({ admission, waitingMax: 100, waitMsMax: 60_000, ...over }) };
}

describe('the queue of uploads', () => {
  it('gives a permit at once while there is one', async () => {
    const { admission, queue } = start(2);
    const permits = await Promise.all([queue.admit('a'), queue.admit('b')]);
    expect(admission.inFlight).to.equal(2);
    for (const permit of permits) permit.release();
  });

  it('gives each permit that is free to whoever has waited longest', async () => {
    const { admission, queue } = start(1);
    const order: string[] = [];
    const upload = async (name: string): Promise<void> => {
      const permit = await queue.admit(name);
      order.push(name);
      expect(admission.inFlight).to.equal(1);
      permit.release();
    };
    const first = await queue.admit('first');
    const others = ['a', 'b', 'c'].map(upload);
    expect(queue.waitingCount).to.equal(3);
    first.release();
    // Whoever comes now does not overtake them.
    others.push(upload('d'));
    await Promise.all(others);
    expect(order).to.deep.equal(['a', 'b', 'c', 'd']);
    expect([admission.inFlight, queue.waitingCount]).to.deep.equal([0, 0]);
  });

  it('refuses who would wait behind too many, or has waited for too long', async () => {
    const { queue } = start(0, { waitingMax: 2, waitMsMax: 10 });
    const codes = await Promise.all(
      ['a', 'b', 'c'].map((name) =>
        queue.admit(name).then(
          () => 'admitted',
          ({ code, retryAfterS }: { code: string; retryAfterS: number }) => `${code} ${retryAfterS}`,
        ),
      ),
    );
    expect(codes).to.deep.equal(Array.from({ length: 3 }, () => 'service_unavailable 5'));
    expect(queue.waitingCount).to.equal(0);
  });
});
