import { fork } from 'node:child_process';
import { once } from 'node:events';
import { expect } from 'chai';
import { MillraceError } from '../../src/errors.ts';
import type { TakenJob } from '../../src/queues/job-queue.ts';
import type { InferenceJob } from '../../src/queues/job.ts';
import { lanesOpenMax } from '../../src/queues/lanes.ts';
import { closeConnections, sampleJob } from '../queues/builders.ts';
import { createInbox, rejectionOf } from '../queues/inbox.ts';
import { makeQueueRig } from '../queues/queue-rig.ts';
import type { QueueRig } from '../queues/queue-rig.ts';
import { redisUrl } from '../support/services.ts';

function plain(job: InferenceJob | undefined): unknown {
  return { ...job, payload: [...(job?.payload ?? [])] };
}

const largePayload = new Uint8Array(5000).map((_, i) => i);

describe('job queue contract', () => {
  let rig: QueueRig;
  beforeEach(async () => {
    rig = await makeQueueRig(redisUrl());
  });
  afterEach(async () => {
    await rig.close();
    closeConnections();
  });

  it('gives a job to a worker as it was added, once, and forgets it', async () => {
    const taken = createInbox<TakenJob>();
    const consumer = await rig.consume(async (job) => taken.push(job));
    const job = sampleJob();
    await rig.producer.add(job);
    await taken.filled(1);
    expect(await consumer.drain(5000)).to.equal('drained');
    expect(taken.items.map(({ startCount }) => startCount)).to.deep.equal([1]);
    expect(plain(taken.items[0]?.job)).to.deep.equal(plain(job));
    expect(await rig.redis.keys(`${rig.keys.bullmq}*${job.id}*`)).to.deep.equal([]);
  });

  it('keeps the order of a lane for one worker at a time', async () => {
    const jobs = Array.from({ length: 20 }, () => sampleJob());
    for (const job of jobs) await rig.producer.add(job);
    const taken = createInbox<string>();
    await rig.consume(async ({ job }) => taken.push(job.id));
    expect(await taken.filled(20)).to.deep.equal(jobs.map(({ id }) => id));
  });

  it('counts the jobs that wait', async () => {
    expect(await rig.producer.depth('default', 'online')).to.equal(0);
    await Promise.all([sampleJob(), sampleJob()].map((job) => rig.producer.add(job)));
    expect(await rig.producer.depth('default', 'online')).to.equal(2);
  });

  it('takes a job back that waits, with its payload, but none that a worker has or had', async () => {
    const job = sampleJob({ payload: largePayload });
    await rig.producer.add(job);
    expect(await rig.producer.takeBack(job)).to.equal(true);
    expect(await rig.redis.keys(`${rig.keys.bullmq}*${job.id}*`)).to.deep.equal([]);
    expect(await rig.producer.takeBack(job)).to.equal(false);

    const taken = createInbox<TakenJob>();
    const ended = Promise.withResolvers<void>();
    await rig.consume((each) => {
      taken.push(each);
      return ended.promise;
    });
    const running = sampleJob();
    await rig.producer.add(running);
    await taken.filled(1);
    expect(taken.items[0]?.job.id).to.equal(running.id);
    expect(await rig.producer.takeBack(running)).to.equal(false);
    ended.resolve();
  });

  it('carries a large payload apart and removes it afterwards', async () => {
    const job = sampleJob({ payload: largePayload });
    await rig.producer.add(job);
    expect(await rig.redis.pttl(rig.keys.payload(job.id))).to.be.within(1, 60_000);
    const taken = createInbox<InferenceJob>();
    const consumer = await rig.consume(async ({ job: got }) => taken.push(got));
    expect(plain((await taken.filled(1))[0])).to.deep.equal(plain(job));
    await consumer.drain(5000);
    expect(await rig.redis.exists(rig.keys.payload(job.id))).to.equal(0);
  });

  it('answers every entry of a job whose payload is gone', async () => {
    const entries = ['a', 'b'].map((requestId) => ({ requestId, rowCount: 1, deadlineMs: 1e15 }));
    const job = sampleJob({ payload: largePayload, entries });
    await rig.producer.add(job);
    await rig.redis.del(rig.keys.payload(job.id));
    await rig.consume(() => Promise.reject(new Error('must not run')));
    const [refusal] = await rig.refusals.filled(1);
    expect(refusal).to.include({ id: job.id, workerId: 'worker-0' });
    expect(refusal?.failures.map(({ entryIndex, error }) => [entryIndex, error.code])).to.deep.equal([
      [0, 'service_unavailable'],
      [1, 'service_unavailable'],
    ]);
  });

  it('answers every entry of a job of an unknown schema version', async () => {
    const newer = { ...sampleJob(), schemaVersion: 2 } as unknown as InferenceJob;
    await rig.producer.add(newer);
    await rig.consume(() => Promise.reject(new Error('must not run')));
    const [refusal] = await rig.refusals.filled(1);
    expect(refusal?.id).to.equal(newer.id);
    expect(refusal?.failures[0]?.error.message).to.include('schema version 2');
  });

  it('runs a job again that rejected, three times at most, and keeps nothing but the code', async () => {
    const starts = createInbox<number>();
    const consumer = await rig.consume(({ startCount }) => {
      starts.push(startCount);
      return Promise.reject(new Error('secret values'));
    });
    const job = sampleJob();
    await rig.producer.add(job);
    await starts.filled(3);
    await consumer.drain(5000);
    // A start that ended with a rejection killed no worker.
    expect(starts.items).to.deep.equal([1, 1, 1]);
    const [key] = await rig.redis.keys(`${rig.keys.bullmq}*:${job.id}`);
    const stored = await rig.redis.hgetall(key as string);
    expect(stored).to.include({ failedReason: 'internal_error' });
    expect(JSON.stringify(stored)).not.to.include('secret');
  });

  it('runs a job again for as long as its result cannot be published', async () => {
    const starts = createInbox<number>();
    const consumer = await rig.consume(({ startCount }) => {
      starts.push(startCount);
      return starts.items.length < 6
        ? Promise.reject(new MillraceError('service_unavailable'))
        : Promise.resolve();
    });
    await rig.producer.add(sampleJob());
    expect(await starts.filled(6)).to.deep.equal([1, 1, 1, 1, 1, 1]);
    expect(await consumer.drain(5000)).to.equal('drained');
    expect(await rig.redis.keys(`${rig.keys.bullmq}*:failed`)).to.deep.equal([]);
  });

  it('aborts a run whose lock is lost and lets the job be taken again', async () => {
    const starts = createInbox<number>();
    const lost = createInbox<unknown>();
    const consumer = await rig.consume(async ({ job, startCount, signal }) => {
      starts.push(startCount);
      if (startCount > 1) return;
      const [lock] = await rig.redis.keys(`${rig.keys.bullmq}*:${job.id}:lock`);
      const aborted = once(signal, 'abort');
      await rig.redis.set(lock as string, 'another worker');
      await rig.redis.pexpire(lock as string, 100);
      await aborted;
      lost.push(signal.reason);
    });
    await rig.producer.add(sampleJob());
    await lost.filled(1);
    await starts.filled(2);
    expect(lost.items).to.deep.equal(['lock lost']);
    expect(starts.items).to.deep.equal([1, 2]);
    expect(await consumer.drain(5000)).to.equal('drained');
  });

  it('leaves the payload of a job whose lock is lost to whoever has the job now', async () => {
    const taken = createInbox<TakenJob>();
    const ended = Promise.withResolvers<void>();
    await rig.consume(async (first) => {
      taken.push(first);
      if (first.startCount > 1) return ended.promise;
      const [lock] = await rig.redis.keys(`${rig.keys.bullmq}*:${first.job.id}:lock`);
      const aborted = once(first.signal, 'abort');
      await rig.redis.set(lock as string, 'another worker', 'PX', 100);
      await aborted;
    });
    const job = sampleJob({ payload: largePayload });
    await rig.producer.add(job);
    await taken.filled(2);
    expect(await rig.redis.exists(rig.keys.payload(job.id))).to.equal(1);
    ended.resolve();
  });

  it('gives the jobs of a killed worker to another', async () => {
    const prefix = rig.keys.bullmq.slice(1, -1);
    const child = fork(new URL('../queues/stuck-worker.ts', import.meta.url), [redisUrl(), prefix]);
    try {
      await once(child, 'message');
      const jobs = [sampleJob(), sampleJob()];
      const took = createInbox<unknown>();
      child.on('message', (id) => took.push(id));
      for (const job of jobs) await rig.producer.add(job);
      await took.filled(2);
      const exited = once(child, 'exit');
      child.kill('SIGKILL');
      await exited;
      const again = createInbox<TakenJob>();
      await rig.consume(async (taken) => again.push(taken));
      const starts = new Map((await again.filled(2)).map(({ job, startCount }) => [job.id, startCount]));
      expect(starts).to.deep.equal(new Map(jobs.map(({ id }) => [id, 2])));
    } finally {
      child.kill('SIGKILL');
    }
  });

  it('waits for jobs in hand while it drains, and takes no more', async () => {
    const started = createInbox<TakenJob>();
    const release = Promise.withResolvers<void>();
    const consumer = await rig.consume((taken) => {
      started.push(taken);
      return release.promise;
    });
    await rig.producer.add(sampleJob());
    await started.filled(1);
    const drained = consumer.drain(10_000);
    release.resolve();
    expect(await drained).to.equal('drained');
    await rig.producer.add(sampleJob());
    expect(started.items).to.have.length(1);
    expect(await rig.producer.depth('default', 'online')).to.equal(1);
  });

  it('abandons what outlasts the grace period; another worker gets it', async () => {
    const stuck = createInbox<TakenJob>();
    const never = Promise.withResolvers<void>();
    const consumer = await rig.consume((taken) => {
      stuck.push(taken);
      return never.promise;
    });
    await rig.producer.add(sampleJob());
    await stuck.filled(1);
    expect(await consumer.drain(1)).to.equal('abandoned');
    await consumer.close();
    expect(stuck.items[0]?.signal.reason).to.equal('abandoned');
    const again = createInbox<number>();
    const other = await rig.consume(async ({ startCount }) => again.push(startCount));
    expect(await again.filled(1)).to.deep.equal([2]);
    await other.drain(5000);
    never.resolve();
  });

  it('bounds the lanes that one process opens', async () => {
    for (let i = 0; i < lanesOpenMax; i++) await rig.producer.depth(`pool-${i}`, 'online');
    const refusal = await rejectionOf(rig.producer.add(sampleJob({ pool: 'one-more' })));
    expect(refusal).to.include({ code: 'service_unavailable' });
  });

  it('refuses after it was closed', async () => {
    await rig.producer.close();
    expect(await rejectionOf(rig.producer.add(sampleJob()))).to.include({ code: 'service_unavailable' });
  });
});
