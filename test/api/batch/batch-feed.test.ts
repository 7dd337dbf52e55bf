import { expect } from 'chai';
import { BatchFeeds } from '../../../src/api/batch/batch-feed.ts';
import { FollowedBatch } from '../../../src/api/batch/followed-batch.ts';
import { until } from '../../../src/dev/readiness.ts';
import type { BatchRecord } from '../../../src/queues/batch/batch.ts';
import { batchRecord } from './support/batch-record.ts';

/** A ledger and a watcher that the test turns by hand. */
class Hand {
  record: BatchRecord | undefined = batchRecord({ revision: 1 });
  failing = false;
  reads = 0;
  readonly listeners = new Set<() => void>();
  readonly feeds: BatchFeeds;

  constructor(intervalMs: number) {
    this.feeds = new BatchFeeds({
      ledger: {
        get: async () => {
          this.reads += 1;
          if (this.failing) throw new Error('out of reach');
          return this.record;
        },
      },
      watcher: {
        watch: (_id, onChange) => {
          this.listeners.add(onChange);
          return () => this.listeners.delete(onChange);
        },
      },
      intervalMs,
    });
  }

  change(revision: number): void {
    this.record = batchRecord({ revision });
    for (const listener of this.listeners) listener();
  }
}

const farAwayMs = 3_600_000;
const never = new AbortController().signal;

describe('BatchFeeds', () => {
  it('reads a batch once for all who follow it', async () => {
    const hand = new Hand(5);
    const seen = Array.from({ length: 100 }, () => [] as number[]);
    const ends = seen.map((own) => hand.feeds.follow('a', (record) => own.push(record?.revision ?? 0)));
    await until(async () => seen.every((own) => own.length > 0), AbortSignal.timeout(10_000));
    const before = hand.reads;
    expect(before).to.be.at.most(2);
    expect(hand.listeners.size).to.equal(1);
    hand.change(2);
    await until(async () => seen.every((own) => own.at(-1) === 2), AbortSignal.timeout(10_000));
    expect(hand.reads - before).to.be.at.most(2);
    for (const end of ends) end();
    expect(hand.listeners.size).to.equal(0);
  });

  it('tells of many changes within the interval as of one', async () => {
    const hand = new Hand(farAwayMs);
    const followed = new FollowedBatch(hand.feeds, 'a', never);
    expect(await followed.next(farAwayMs)).to.deep.include({ kind: 'changed' });
    for (let revision = 2; revision < 100; revision++) hand.change(revision);
    expect(hand.reads).to.equal(1);
    followed.end();
  });

  it('shows the newest of what came between two waits', async () => {
    const hand = new Hand(1);
    const followed = new FollowedBatch(hand.feeds, 'a', never);
    await followed.next(farAwayMs);
    for (const revision of [2, 3, 4]) {
      const { reads } = hand;
      hand.change(revision);
      await until(async () => hand.reads > reads, AbortSignal.timeout(10_000));
    }
    const outcome = await followed.next(farAwayMs);
    expect(outcome.kind === 'changed' && outcome.record.revision).to.equal(4);
    followed.end();
  });

  it('looks again when a look has failed', async () => {
    const hand = new Hand(1);
    hand.failing = true;
    const followed = new FollowedBatch(hand.feeds, 'a', never);
    const next = followed.next(farAwayMs);
    await until(async () => hand.reads > 2, AbortSignal.timeout(10_000));
    hand.failing = false;
    expect((await next).kind).to.equal('changed');
    followed.end();
  });

  it('says that a batch has gone, that nothing came, and that it was told to stop', async () => {
    const hand = new Hand(1);
    const stop = new AbortController();
    const followed = new FollowedBatch(hand.feeds, 'a', stop.signal);
    await followed.next(farAwayMs);
    expect((await followed.next(1)).kind).to.equal('idle');
    hand.record = undefined;
    for (const listener of hand.listeners) listener();
    expect((await followed.next(farAwayMs)).kind).to.equal('gone');
    const next = followed.next(farAwayMs);
    stop.abort();
    expect((await next).kind).to.equal('stopped');
    expect((await followed.next(farAwayMs)).kind).to.equal('stopped');
    followed.end();
  });
});
