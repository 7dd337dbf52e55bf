import { expect } from 'chai';
import type { TakenJob } from '../../src/queues/job-queue.ts';
import { closeConnections, connect, sampleJob } from '../queues/builders.ts';
import { createInbox, nextEvent, rejectionOf } from '../queues/inbox.ts';
import { makeQueueRig } from '../queues/queue-rig.ts';
import type { QueueRig } from '../queues/queue-rig.ts';
import { startRedis } from '../support/redis-server.ts';
import type { TestRedis } from '../support/redis-server.ts';

describe('job queue contract, Redis failing', () => {
  let server: TestRedis;
  let rig: QueueRig;
  beforeEach(async () => {
    server = await startRedis();
    rig = await makeQueueRig(server.url);
  });
  afterEach(async () => {
    await rig.close();
    closeConnections();
    await server.stop();
  });

  it('refuses at once while Redis is down; the same producer and consumer go on when it is back', async () => {
    const taken = createInbox<string>();
    await rig.consume(async ({ job }) => taken.push(job.id));
    await rig.producer.add(sampleJob());
    await taken.filled(1);
    const closed = nextEvent(rig.producing, 'close');
    await server.kill();
    await closed;
    expect(await rejectionOf(rig.producer.add(sampleJob()))).to.include({ code: 'service_unavailable' });
    expect(await rejectionOf(rig.producer.depth('default', 'online'))).to.include({
      code: 'service_unavailable',
    });
    const ready = nextEvent(rig.producing, 'ready');
    await server.restart();
    await ready;
    const job = sampleJob();
    await rig.producer.add(job);
    expect((await taken.filled(2))[1]).to.equal(job.id);
  });

  it('keeps what it accepted through a killed Redis that writes before it answers', async () => {
    // With `everysec` Redis puts its writes off while a slow fsync is under way, and a kill loses them.
    const durable = await startRedis(['--appendfsync', 'always']);
    const own = await makeQueueRig(durable.url);
    try {
      const jobs = Array.from({ length: 100 }, () => sampleJob());
      await Promise.all(jobs.map((job) => own.producer.add(job)));
      await durable.kill();
      await durable.restart();
      const taken = createInbox<string>();
      await own.consume(async ({ job }) => taken.push(job.id));
      expect([...(await taken.filled(100))].toSorted()).to.deep.equal(jobs.map(({ id }) => id).toSorted());
    } finally {
      await own.close();
      await durable.stop();
    }
  });

  it('can open a lane first after an outage', async () => {
    await server.kill();
    expect(await rejectionOf(rig.producer.add(sampleJob()))).to.include({ code: 'service_unavailable' });
    const ready = nextEvent(rig.producing, 'ready');
    await server.restart();
    await ready;
    await rig.producer.add(sampleJob());
    expect(await rig.producer.depth('default', 'online')).to.equal(1);
  });

  it('gives up on a Redis that hangs', async () => {
    await rig.producer.add(sampleJob());
    process.kill(server.pid, 'SIGSTOP');
    try {
      const refusal = await rejectionOf(rig.producer.add(sampleJob()));
      expect(refusal).to.include({ code: 'service_unavailable', retryAfterS: 1 });
    } finally {
      process.kill(server.pid, 'SIGCONT');
    }
  });

  it('goes on when every connection is cut', async () => {
    const taken = createInbox<string>();
    await rig.consume(async ({ job }) => taken.push(job.id));
    const admin = await connect('command', server.url);
    const closed = nextEvent(rig.producing, 'close');
    await admin.client('KILL', 'TYPE', 'NORMAL');
    await closed;
    await nextEvent(rig.producing, 'ready');
    const job = sampleJob();
    await rig.producer.add(job);
    expect(await taken.filled(1)).to.deep.equal([job.id]);
  });

  it('settles a job although Redis was away while it ran', async () => {
    const starts = createInbox<TakenJob>();
    const release = Promise.withResolvers<void>();
    const consumer = await rig.consume((taken) => {
      starts.push(taken);
      return taken.startCount === 1 ? release.promise : Promise.resolve();
    });
    const first = sampleJob();
    await rig.producer.add(first);
    await starts.filled(1);
    const ready = nextEvent(rig.producing, 'ready');
    await server.kill();
    await server.restart();
    release.resolve();
    expect(await consumer.drain(10_000)).to.equal('drained');
    await ready;
    const other = await rig.consume(async (taken) => starts.push(taken));
    await rig.producer.add(sampleJob());
    await starts.filled(2);
    expect(await other.drain(5000)).to.equal('drained');
    expect(await rig.producer.depth('default', 'online')).to.equal(0);
  });
});
