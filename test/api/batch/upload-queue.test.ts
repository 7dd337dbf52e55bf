import { expect } from 'chai';
import { UploadQueue } from '../../../src/api/batch/upload-queue.ts';
import { Admission } from '../../../src/api/admission.ts';
import type { Permit } from '../../../src/api/admission.ts';

const unsaturated = { limit: () => Number.POSITIVE_INFINITY, answered: () => undefined };

function start(inFlightMax: number, over: { waitingMax?: number; waitMsMax?: number } = {}) {
  const admission = new Admission(inFlightMax, unsaturated);
  return { admission, queue: new UploadQueue({ admission, waitingMax: 100, waitMsMax: 60_000, ...over }) };
}

describe('the queue of uploads', () => {
  it('gives a permit at once while there is one', async () => {
    const { admission, queue } = start(2);
    const permits = await Promise.all([queue.admit('one', 'a'), queue.admit('other', 'b')]);
    expect(admission.inFlight).to.equal(2);
    for (const permit of permits) permit.release();
  });

  it('gives each permit that is free to whoever has waited longest', async () => {
    const { admission, queue } = start(1);
    const order: string[] = [];
    const upload = async (name: string): Promise<void> => {
      const permit = await queue.admit('one', name);
      order.push(name);
      expect(admission.inFlight).to.equal(1);
      permit.release();
    };
    const first = await queue.admit('one', 'first');
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
    const { queue } = start(0, { waitingMax: 4, waitMsMax: 10 });
    const codes = await Promise.all(
      ['a', 'b', 'c'].map((name) =>
        queue.admit('one', name).then(
          () => 'admitted',
          ({ code, retryAfterS }: { code: string; retryAfterS: number }) => `${code} ${retryAfterS}`,
        ),
      ),
    );
    expect(codes).to.deep.equal(Array.from({ length: 3 }, () => 'service_unavailable 5'));
    expect(queue.waitingCount).to.equal(0);
  });

  it('leaves half of the permits and of the places to others, however many uploads one caller has', async () => {
    const { admission, queue } = start(4, { waitingMax: 6 });
    const order: string[] = [];
    const begin = async (caller: string, model: string): Promise<Permit> => {
      const permit = await queue.admit(caller, model);
      order.push(model);
      return permit;
    };
    const open = await Promise.all([begin('greedy', 'a'), begin('greedy', 'b')]);
    const late = ['c', 'd', 'e'].map((model) => begin('greedy', model));
    const refusal = await queue.admit('greedy', 'f').catch(({ code }: { code: string }) => code);
    expect(refusal).to.equal('service_unavailable');
    // Those of others wait behind none of these.
    const others = await Promise.all([begin('other', 'x'), begin('other', 'y')]);
    expect([admission.inFlight, queue.waitingCount]).to.deep.equal([4, 3]);
    for (const permit of [...open, ...others]) permit.release();
    for (const permit of await Promise.all(late.slice(0, 2))) permit.release();
    (await late[2]!).release();
    expect(order).to.deep.equal(['a', 'b', 'x', 'y', 'c', 'd', 'e']);
    expect(admission.inFlight).to.equal(0);
  });

  it('gives callers that wait their turns', async () => {
    const { queue } = start(1);
    const order: string[] = [];
    const upload = async (caller: string, model: string): Promise<void> => {
      const permit = await queue.admit(caller, model);
      order.push(model);
      permit.release();
    };
    const first = await queue.admit('one', 'first');
    const uploads = ['a', 'b', 'c'].map((model) => upload('one', model));
    uploads.push(upload('other', 'x'), upload('other', 'y'));
    first.release();
    await Promise.all(uploads);
    expect(order).to.deep.equal(['a', 'x', 'b', 'y', 'c']);
  });
});
