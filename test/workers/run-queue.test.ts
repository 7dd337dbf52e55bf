import { expect } from 'chai';
import { RunQueue } from '../../src/workers/run-queue.ts';

const online = { lane: 'online', key: 'a' } as const;
const other = { lane: 'online', key: 'b' } as const;
const bulk = { lane: 'bulk', key: 'a' } as const;
type Run = typeof online | typeof other | typeof bulk;

describe('run queue', () => {
  let queue: RunQueue<Run>;
  beforeEach(() => {
    queue = new RunQueue(10);
  });

  it('gives online runs before bulk ones that came earlier', () => {
    queue.push(bulk);
    queue.push(online);
    expect(queue.take(() => true)).to.equal(online);
    expect(queue.take(() => true)).to.equal(bulk);
    expect(queue.take(() => true)).to.equal(undefined);
  });

  it('gives a bulk run first once online ran while it waited, and then online again', () => {
    queue.push(bulk);
    queue.push(bulk);
    queue.push(online);
    queue.push(online);
    queue.ended(online, 5, 5);
    expect(queue.isBulkDue).to.equal(true);
    expect(queue.take(() => true)).to.equal(bulk);
    queue.began(bulk, 25);
    expect(queue.isBulkDue).to.equal(false);
    expect(queue.take(() => true)).to.equal(online);
  });

  it('counts what a bulk run really took', () => {
    queue.push(bulk);
    queue.ended(online, 5, 90);
    queue.began(bulk, 25);
    queue.ended(bulk, 25, 1);
    expect(queue.isBulkDue).to.equal(true);
  });

  it('owes bulk nothing while none of it waits', () => {
    queue.ended(online, 5, 1000);
    queue.push(bulk);
    expect(queue.isBulkDue).to.equal(false);
  });

  it('gives online when no bulk run that is due is accepted', () => {
    queue.push(bulk);
    queue.push(other);
    queue.ended(online, 5, 5);
    expect(queue.take(({ key }) => key === 'b')).to.equal(other);
  });

  it('passes over what is not accepted and keeps it', () => {
    queue.push(other);
    queue.push(online);
    expect(queue.take(({ key }) => key === 'a')).to.equal(online);
    expect(queue.length).to.equal(1);
  });

  it('says whether a run was still waiting when it is removed', () => {
    queue.push(online);
    expect(queue.remove(online)).to.equal(true);
    expect(queue.remove(online)).to.equal(false);
  });
});
