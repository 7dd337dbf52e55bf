import { expect } from 'chai';
import fc from 'fast-check';
import { inOrder } from '../../src/cli/in-order.ts';

async function* items(count: number, s: fc.Scheduler): AsyncGenerator<number> {
  for (let item = 0; item < count; item += 1) yield await s.schedule(Promise.resolve(item));
}

describe('inOrder', () => {
  it('yields in the order of the items, however they are done, and keeps to the bound', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.scheduler(),
        fc.nat(20),
        fc.integer({ min: 1, max: 8 }),
        async (s, count, concurrency) => {
          let underWay = 0;
          let most = 0;
          const work = async (item: number) => {
            underWay += 1;
            most = Math.max(most, underWay);
            await s.schedule(Promise.resolve());
            underWay -= 1;
            return item * 2;
          };
          const results: number[] = [];
          const all = (async () => {
            for await (const result of inOrder(items(count, s), concurrency, work)) results.push(result);
          })();
          await s.waitFor(all);
          expect(results).to.deep.equal(Array.from({ length: count }, (_, item) => item * 2));
          expect(most).to.be.at.most(concurrency);
        },
      ),
    );
  });

  it('yields an answer while the source has no next item yet', async () => {
    async function* silent(): AsyncGenerator<number> {
      yield 1;
      await new Promise(() => undefined);
    }
    const results = inOrder(silent(), 2, (item) => Promise.resolve(item));
    expect(await results.next()).to.deep.equal({ done: false, value: 1 });
  });

  it('ends with a failure in its turn, after what came before it', async () => {
    const fail = async (item: number) => {
      if (item === 1) throw new Error('no');
      return item;
    };
    async function* three(): AsyncGenerator<number> {
      yield* [0, 1, 2];
    }
    const results: number[] = [];
    const all = (async () => {
      for await (const result of inOrder(three(), 3, fail)) results.push(result);
    })();
    const error = await all.then(
      () => undefined,
      (reason: unknown) => reason,
    );
    expect(error).to.be.an('error').with.property('message', 'no');
    expect(results).to.deep.equal([0]);
  });
});
