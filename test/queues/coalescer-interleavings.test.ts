import { expect } from 'chai';
import fc from 'fast-check';
import { createCoalescer } from '../../src/queues/coalescer.ts';
import { createRedisResultPublisher } from '../../src/queues/redis-result-publisher.ts';
import { createRedisResultReceiver } from '../../src/queues/redis-result-receiver.ts';
import { resultSchemaVersion } from '../../src/queues/result.ts';
import { createSharedClock } from '../../src/queues/shared-clock.ts';
import { decodeTensors } from '../../src/tensors/binary-codec.ts';
import { redisUrl } from '../support/services.ts';
import { closeConnections, connect, rows, rowValues, sampleVersion } from './builders.ts';
import { answerValues, makeCoalescerRig } from './coalescer-rig.ts';
import { createInbox } from './inbox.ts';
import { makeQueueRig } from './queue-rig.ts';

const versions = [sampleVersion({}, 'v0'), sampleVersion({ batching: { max_batch_size: 2 } }, 'v1')];

describe('coalescer, any interleaving', () => {
  it('gives every request its own rows or its own failure, and holds no more than it may', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 3 }),
        fc.array(
          fc.oneof(
            fc.record({
              kind: fc.constant('submit' as const),
              rowCount: fc.integer({ min: 1, max: 5 }),
              version: fc.nat(1),
              fails: fc.boolean(),
            }),
            fc.record({ kind: fc.constant('echo' as const), which: fc.nat() }),
            fc.record({ kind: fc.constant('turn' as const) }),
          ),
          { maxLength: 60 },
        ),
        async (jobsInFlightMax, steps) => {
          const rig = makeCoalescerRig({ jobsInFlightMax, pendingRowsMax: 1000 });
          const failing = new Set<string>();
          const answered = new Set<string>();
          let value = 0;
          const outcomes: Promise<void>[] = [];
          const echo = (which: number): void => {
            const open = rig.jobs.items.filter(({ id }) => !answered.has(id));
            const job = open[which % Math.max(1, open.length)];
            if (job === undefined) return;
            answered.add(job.id);
            const kept: number[] = [];
            let row = 0;
            const all = rowValues(decodeTensors(job.payload));
            for (const { requestId, rowCount } of job.entries) {
              if (!failing.has(requestId)) kept.push(...all.slice(row, row + rowCount));
              row += rowCount;
            }
            const failures = job.entries.flatMap(({ requestId }, entryIndex) =>
              failing.has(requestId)
                ? [
                    {
                      entryIndex,
                      reason: 'failed' as const,
                      error: { code: 'invalid_input' as const, message: requestId },
                    },
                  ]
                : [],
            );
            rig.echo(job, { tensors: rows(...kept), failures });
          };
          for (const [index, step] of steps.entries()) {
            if (step.kind === 'submit') {
              const values = Array.from({ length: step.rowCount }, () => value++);
              const requestId = `r${index}`;
              if (step.fails) failing.add(requestId);
              const answer = rig.submit(values, {
                requestId,
                version: versions[step.version] as (typeof versions)[number],
              });
              outcomes.push(
                answer
                  .then(
                    (got) => expect(answerValues(got)).to.deep.equal(values),
                    (error: unknown) => {
                      expect(step.fails).to.equal(true);
                      expect(error).to.include({ code: 'invalid_input', message: requestId });
                    },
                  )
                  .then(() => undefined),
              );
            } else if (step.kind === 'echo') echo(step.which);
            // oxlint-disable-next-line no-await-in-loop
            else await new Promise((resolve) => setImmediate(resolve));
            expect(rig.coalescer.jobsInFlight).to.be.at.most(jobsInFlightMax * versions.length);
          }
          while (rig.coalescer.pendingRows > 0 || rig.coalescer.jobsInFlight > 0) {
            // oxlint-disable-next-line no-await-in-loop
            await new Promise((resolve) => setImmediate(resolve));
            echo(0);
          }
          await Promise.all(outcomes);
          rig.coalescer.close();
        },
      ),
      { numRuns: 100 },
    );
  });
});

describe('coalescer over Redis', () => {
  afterEach(closeConnections);

  it('gives each of 1,000 concurrent requests its own answer from two workers, in shared jobs', async () => {
    const queue = await makeQueueRig(redisUrl());
    const { redis, keys, producer } = queue;
    const publisher = createRedisResultPublisher({
      redis,
      keys,
      keptMax: 1024,
      ttlMs: 60_000,
      inlineBytesMax: 1e6,
    });
    const subscriber = await connect('subscriber', redisUrl());
    const receiver = await createRedisResultReceiver({ subscriber, redis, keys, replyTo: 'api-1' });
    const clock = createSharedClock({ redis });
    const jobSizes = createInbox<number>();
    // oxlint-disable-next-line no-await-in-loop
    for (const workerId of ['a', 'b'])
      await queue.consume(async ({ job }) => {
        jobSizes.push(job.entries.length);
        await publisher.publish(job.replyTo, {
          schemaVersion: resultSchemaVersion,
          id: job.id,
          workerId,
          failures: [],
          tensors: decodeTensors(job.payload),
          timings: { queueMs: 0, waitMs: 0, runMs: 0 },
          batchRows: job.entries.length,
        });
      }, publisher);
    const coalescer = createCoalescer({
      producer,
      receiver,
      clock,
      limits: {
        jobsInFlightMax: 2,
        batchRowsMax: 64,
        batchBytesMax: 1e6,
        pendingRowsMax: 8192,
        queueDelayMsMax: 10_000,
        timeoutMs: 10_000,
      },
      poolOf: () => 'default',
    });
    const [version] = versions;
    const answers = await Promise.all(
      Array.from({ length: 1000 }, (_, i) =>
        coalescer.submit({
          requestId: `r${i}`,
          version: version as NonNullable<typeof version>,
          tensors: rows(i),
          bytes: 4,
          compatibilityKey: 'x',
          outputs: null,
          deadlineMs: clock.nowMs() + 10_000,
        }),
      ),
    );
    expect(answers.map(answerValues)).to.deep.equal(answers.map((_, i) => [i]));
    expect(jobSizes.items.length).to.be.lessThan(100);
    coalescer.close();
    clock.close();
    await receiver.close();
    await queue.close();
  });
});
