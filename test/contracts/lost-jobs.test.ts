import { expect } from 'chai';
import { channels } from '../../src/channels.ts';
import type { FaultEvent } from '../../src/channels.ts';
import { unknownJobs } from '../../src/queues/bullmq-unknown-jobs.ts';
import type { InferenceJob } from '../../src/queues/job.ts';
import { createRedisResultReceiver } from '../../src/queues/redis-result-receiver.ts';
import { createRedisResultPublisher } from '../../src/queues/redis-result-publisher.ts';
import type { ResultOutcome } from '../../src/queues/result.ts';
import { withResubmission } from '../../src/queues/resubmission.ts';
import type { ResubmittingQueue } from '../../src/queues/resubmission.ts';
import { closeConnections, connect, sampleJob, sampleResult } from '../queues/builders.ts';
import { createInbox } from '../queues/inbox.ts';
import type { Inbox } from '../queues/inbox.ts';
import { makeQueueRig } from '../queues/queue-rig.ts';
import type { QueueRig } from '../queues/queue-rig.ts';
import { startRedis } from '../support/redis-server.ts';
import type { TestRedis } from '../support/redis-server.ts';

describe('jobs that Redis has lost', () => {
  let server: TestRedis;
  let rig: QueueRig;
  let queue: ResubmittingQueue;
  let questions: Inbox<readonly InferenceJob[]>;
  let faults: string[];
  const onFault = (event: unknown): void => void faults.push((event as FaultEvent).message);

  beforeEach(async () => {
    faults = [];
    channels.fault.subscribe(onFault);
    server = await startRedis();
    rig = await makeQueueRig(server.url);
    questions = createInbox();
    const { redis, keys } = rig;
    queue = withResubmission({
      producer: rig.producer,
      receiver: await createRedisResultReceiver({
        subscriber: await connect('subscriber', server.url),
        redis,
        keys,
        replyTo: 'api-1',
      }),
      unknown: async (jobs) => {
        const unknown = await unknownJobs(jobs, { redis, keys });
        questions.push(jobs);
        return unknown;
      },
      askAfterMs: 20,
    });
  });
  afterEach(async () => {
    await queue.producer.close();
    await queue.receiver.close();
    await rig.close();
    closeConnections();
    await server.stop();
    channels.fault.unsubscribe(onFault);
  });

  const publisher = () =>
    createRedisResultPublisher({
      redis: rig.redis,
      keys: rig.keys,
      keptMax: 16,
      ttlMs: 60_000,
      inlineBytesMax: 1024,
    });

  /** Submits as the coalescer does. */
  async function submit(job: InferenceJob): Promise<Inbox<ResultOutcome>> {
    const outcomes = createInbox<ResultOutcome>();
    queue.receiver.expect(job.id, (outcome) => outcomes.push(outcome));
    await queue.producer.add(job);
    return outcomes;
  }

  it('are submitted again under their ids and answered once, large payloads too', async () => {
    const jobs = [sampleJob(), sampleJob({ payload: new Uint8Array(5000) })];
    const outcomes = await Promise.all(jobs.map(submit));
    await rig.redis.flushall();
    const taken = createInbox<InferenceJob>();
    await rig.consume(async ({ job }) => {
      taken.push(job);
      await publisher().publish(job.replyTo, sampleResult({ id: job.id }));
    });
    const results = await Promise.all(outcomes.map(async (inbox) => (await inbox.filled(1))[0]));
    expect(results.map((outcome) => outcome?.kind)).to.deep.equal(['result', 'result']);
    expect(taken.items.map(({ id }) => id)).to.have.members(jobs.map(({ id }) => id));
    expect(taken.items.map(({ payload }) => payload.byteLength)).to.have.members(
      jobs.map(({ payload }) => payload.byteLength),
    );
    expect(faults.join('\n')).to.match(/Redis has lost [12] jobs; they are submitted again/);
  });

  it('are told from those that wait and those in hand, which are left alone', async () => {
    const taken = createInbox<InferenceJob>();
    const release = Promise.withResolvers<void>();
    await rig.consume(async ({ job }) => {
      taken.push(job);
      await release.promise;
      await publisher().publish(job.replyTo, sampleResult({ id: job.id }));
    });
    // Five for four places: one of them waits.
    const outcomes = await Promise.all(Array.from({ length: 5 }, () => submit(sampleJob())));
    await taken.filled(4);
    await questions.filled(3);
    expect(new Set(questions.items.flat()).size).to.equal(5);
    release.resolve();
    await Promise.all(outcomes.map((inbox) => inbox.filled(1)));
    expect(taken.items).to.have.length(5);
    expect(faults).to.deep.equal([]);
  });

  it('are told from those whose result is kept', async () => {
    const [answered, lost] = [sampleJob(), sampleJob()];
    await publisher().publish(answered.replyTo, sampleResult({ id: answered.id }));
    expect(await unknownJobs([answered, lost], rig)).to.deep.equal([lost]);
  });

  it('are nobody’s any more once they are forgotten', async () => {
    const [given, kept] = [sampleJob(), sampleJob()];
    await submit(given);
    await submit(kept);
    queue.receiver.forget(given.id, () => undefined);
    await questions.filled(2);
    expect(new Set(questions.items.flat())).to.deep.equal(new Set([kept]));
  });

  it('are not guessed at while Redis is out of reach', async () => {
    const job = sampleJob();
    const outcomes = await submit(job);
    await server.kill();
    const before = questions.items.length;
    await server.restart();
    // The first question that is answered comes after the reconnect; the job is there, since its write was on disk.
    await questions.filled(before + 1);
    await rig.consume(async (taken) => publisher().publish('api-1', sampleResult({ id: taken.job.id })));
    expect((await outcomes.filled(1))[0]).to.have.property('kind', 'result');
  });
});
