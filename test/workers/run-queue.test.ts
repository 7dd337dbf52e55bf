import { expect } from 'chai';
import { RunQueue } from '../../src/workers/run-queue.ts';

const online = { lane: 'online', key: 'a' } as const;
const other = { lane: 'online', key: 'b' } as const;
const bulk = { lane: 'bulk', key: 'a' } as const;

describe('run queue', () => {
  it('gives online runs before bulk ones that came earlier', () => {
    const queue = new RunQueue<typeof online | typeof bulk>();
    queue.push(bulk);
    queue.push(online);
    expect(queue.take(() => true)).to.equal(online);
    expect(queue.take(() => true)).to.equal(bulk);
    expect(queue.take(() => true)).to.equal(undefined);
  });

  it('passes over what is not accepted and keeps it', () => {
    const queue = new RunQueue<typeof online | typeof other>();
    queue.push(other);
    queue.push(online);
    expect(queue.take(({ key }) => key === 'a')).to.equal(online);
    expect(queue.length).to.equal(1);
  });

  it('says whether a run was still waiting when it is removed', () => {
    const queue = new RunQueue<typeof online>();
    queue.push(online);
    expect(queue.remove(online)).to.equal(true);
    expect(queue.remove(online)).to.equal(false);
  });
});
