import { expect } from 'chai';
import { channels } from '../../src/channels.ts';
import type { JobEvent } from '../../src/channels.ts';
import { MillraceError } from '../../src/errors.ts';
import type { CoalescerLimits } from '../../src/queues/coalescer.ts';
import { decodeTensors } from '../../src/tensors/binary-codec.ts';
import { rows, rowValues, sampleVersion } from './builders.ts';
import { answerValues, makeCoalescerRig } from './coalescer-rig.ts';
import type { CoalescerRig } from './coalescer-rig.ts';
import { createInbox, rejectionOf } from './inbox.ts';

describe('coalescer', () => {
  const rigs: CoalescerRig[] = [];
  const makeRig = (over: Partial<CoalescerLimits> = {}): CoalescerRig => {
    const rig = makeCoalescerRig(over);
    rigs.push(rig);
    return rig;
  };
  afterEach(() => {
    for (const rig of rigs.splice(0)) rig.coalescer.close();
  });

  it('sends what one turn brought as one job, and gives each its own rows', async () => {
    const rig = makeRig();
    const answers = [rig.submit([1]), rig.submit([2, 3]), rig.submit([4])];
    const [job] = await rig.jobs.filled(1);
    expect(job).to.include({
      model: 'wine',
      version: 'v1',
      pool: 'default',
      lane: 'online',
      replyTo: 'api-1',
    });
    expect(job?.entries.map(({ requestId, rowCount }) => [requestId, rowCount])).to.deep.equal([
      ['req_0', 1],
      ['req_1', 2],
      ['req_2', 1],
    ]);
    rig.echo(job);
    expect((await Promise.all(answers)).map(answerValues)).to.deep.equal([[1], [2, 3], [4]]);
    expect(rig.jobs.items).to.have.length(1);
  });

  it('gathers while its jobs are out, and leaves when one comes back', async () => {
    const rig = makeRig();
    const first = rig.submit([1]);
    const [job] = await rig.jobs.filled(1);
    const later = [rig.submit([2])];
    await new Promise((resolve) => setImmediate(resolve));
    later.push(rig.submit([3]));
    await new Promise((resolve) => setImmediate(resolve));
    expect(rig.jobs.items).to.have.length(1);
    expect(rig.coalescer).to.include({ pendingRows: 2, jobsInFlight: 1 });
    rig.echo(job);
    expect(answerValues(await first)).to.deep.equal([1]);
    const [, second] = await rig.jobs.filled(2);
    rig.echo(second);
    const answers = await Promise.all(later);
    expect(answers.map(answerValues)).to.deep.equal([[2], [3]]);
    for (const { batchWaitMs } of answers) expect(batchWaitMs).to.be.greaterThan(0);
    expect(rig.coalescer).to.include({ pendingRows: 0, jobsInFlight: 0 });
  });

  it('has as many jobs of a version out as it may, within its bounds', async () => {
    const rig = makeRig({ jobsInFlightMax: 2 });
    const answers = Array.from({ length: 10 }, (_, i) => rig.submit([i]));
    await rig.jobs.filled(2);
    expect(rig.jobs.items.map(({ entries }) => entries.length)).to.deep.equal([4, 4]);
    rig.echo(rig.jobs.items[1]);
    const [, , third] = await rig.jobs.filled(3);
    rig.echo(third);
    rig.echo(rig.jobs.items[0]);
    expect((await Promise.all(answers)).map(answerValues)).to.deep.equal(answers.map((_, i) => [i]));
  });

  it('lets one version not wait for another', async () => {
    const rig = makeRig();
    const other = sampleVersion({ pool: 'gpu' }, 'v2');
    const answers = [rig.submit([1]), rig.submit([2], { version: other })];
    await rig.jobs.filled(2);
    expect(rig.jobs.items.map(({ version, pool }) => [version, pool])).to.deep.equal([
      ['v1', 'default'],
      ['v2', 'gpu'],
    ]);
    for (const job of rig.jobs.items) rig.echo(job);
    await Promise.all(answers);
  });

  it('joins only what can be joined and asks for the same outputs', async () => {
    const rig = makeRig({ jobsInFlightMax: 4 });
    const answers = [
      rig.submit([1]),
      rig.submit([2], { compatibilityKey: 'other' }),
      rig.submit([3], { compatibilityKey: 'probabilities', outputs: ['probabilities'] }),
      rig.submit([4]),
    ];
    await rig.jobs.filled(3);
    const sent = rig.jobs.items.map(({ payload, outputs }) => [rowValues(decodeTensors(payload)), outputs]);
    expect(sent).to.deep.equal([
      [[1, 4], null],
      [[2], null],
      [[3], ['probabilities']],
    ]);
    for (const job of rig.jobs.items) rig.echo(job);
    expect((await Promise.all(answers)).map(answerValues)).to.deep.equal([[1], [2], [3], [4]]);
  });

  it('gives requests whose answers may differ in shape a job each', async () => {
    const rig = makeRig({ jobsInFlightMax: 4 });
    const output = { name: 'y', datatype: 'FP32', shape: [-1] } as const;
    const signature = { inputs: [], outputs: [output], batch: { kind: 'none' } } as const;
    const version = { ...sampleVersion(), signature };
    const answers = [1, 2].map((value) => rig.submit([value], { version }));
    await rig.jobs.filled(2);
    expect(rig.jobs.items.map(({ entries }) => entries.length)).to.deep.equal([1, 1]);
    for (const job of rig.jobs.items) rig.echo(job);
    await Promise.all(answers);
  });

  it('keeps to the tighter bounds of a manifest', async () => {
    const rig = makeRig({ jobsInFlightMax: 10 });
    const narrow = sampleVersion({ batching: { max_batch_size: 2 } }, 'narrow');
    const light = sampleVersion({ batching: { max_batch_bytes: 4 } }, 'light');
    const answers = [narrow, light].flatMap((version) =>
      [1, 2, 3].map((value) => rig.submit([value], { version })),
    );
    await rig.jobs.filled(5);
    const sizes = (name: string): readonly number[] =>
      rig.jobs.items.filter(({ version }) => version === name).map(({ entries }) => entries.length);
    expect(sizes('narrow')).to.deep.equal([2, 1]);
    expect(sizes('light')).to.deep.equal([1, 1, 1]);
    for (const job of rig.jobs.items) rig.echo(job);
    await Promise.all(answers);
  });

  it('fails only the entries that failed', async () => {
    const rig = makeRig();
    const answers = [rig.submit([1]), rig.submit([2]), rig.submit([3])].map((answer) =>
      answer.then(answerValues, (error: unknown) => error),
    );
    const [job] = await rig.jobs.filled(1);
    rig.echo(job, {
      tensors: rows(1),
      failures: [
        { entryIndex: 1, reason: 'failed', error: { code: 'invalid_input', message: 'this row is bad' } },
        { entryIndex: 2, reason: 'expired', error: { code: 'timeout', message: '' } },
      ],
    });
    const [first, second, third] = await Promise.all(answers);
    expect(first).to.deep.equal([1]);
    expect(second).to.include({ code: 'invalid_input', message: 'this row is bad' });
    expect(third).to.include({ code: 'timeout' });
  });

  it('gives no answer from a result whose rows do not add up, nor from one that cannot be read', async () => {
    const rig = makeRig({ jobsInFlightMax: 2, batchRowsMax: 2 });
    const answers = [1, 2, 3, 4].map((value) => rejectionOf(rig.submit([value])));
    const [first, second] = await rig.jobs.filled(2);
    rig.echo(first, { tensors: rows(1) });
    const error = new MillraceError('internal_error', 'of another version');
    rig.deliver(second?.id ?? '', { kind: 'unreadable', error });
    for (const refusal of await Promise.all(answers)) expect(refusal).to.include({ code: 'internal_error' });
    expect(rig.coalescer.jobsInFlight).to.equal(0);
  });

  it('refuses what there is no room for, at once', async () => {
    const rig = makeRig({ pendingRowsMax: 5 });
    const answers = [rig.submit([1, 2]), rig.submit([3])];
    const refusal = await rejectionOf(rig.submit([4]));
    expect(refusal).to.include({ code: 'service_unavailable', retryAfterS: 1 });
    const [job] = await rig.jobs.filled(1);
    rig.echo(job);
    await Promise.all(answers);
  });

  it('leaves room for other versions, however many of one are waiting', async () => {
    const rig = makeRig({ pendingRowsMax: 8 });
    const other = sampleVersion({}, 'v2');
    const flood = Array.from({ length: 10 }, (_, i) => rig.submit([i]).catch((error: unknown) => error));
    const answer = rig.submit([7], { version: other });
    const jobs = await rig.jobs.filled(2);
    rig.echo(jobs.find(({ version }) => version === 'v2'));
    expect(answerValues(await answer)).to.deep.equal([7]);
    rig.echo(jobs.find(({ version }) => version === 'v1'));
    const answers = await Promise.all(flood);
    expect(answers.filter((each) => each instanceof Error)).to.have.length(6);
  });

  it('refuses at once whoever finds a queue that stands, and lets in again once some of it has left', async () => {
    const rig = makeRig({ queueDelayMsMax: 0, batchRowsMax: 1, pendingRowsMax: 1000 });
    const ran = { timings: { queueMs: 0, waitMs: 0, runMs: 1 } };
    for (let n = 0; n < 2; n += 1) {
      const answer = rig.submit([n]);
      rig.echo((await rig.jobs.filled(n + 1))[n], ran);
      await answer;
    }
    const flood = Array.from({ length: 80 }, (_, i) => rig.submit([i]));
    const refusals = await Promise.all(flood.slice(64).map(rejectionOf));
    for (const refusal of refusals)
      expect(refusal).to.include({ code: 'service_unavailable', retryAfterS: 1 });
    rig.echo((await rig.jobs.filled(3))[2], ran);
    const accepted = [...flood.slice(0, 64), rig.submit([99])];
    for (let n = 3; n < 67; n += 1) rig.echo((await rig.jobs.filled(n + 1))[n], ran);
    const values = (await Promise.all(accepted)).flatMap(answerValues);
    expect(values).to.deep.equal([...Array.from({ length: 64 }, (_, i) => i), 99]);
  });

  it('sends no more rows in a job than are served in time', async () => {
    const rig = makeRig({ timeoutMs: 40, batchRowsMax: 64, pendingRowsMax: 1000 });
    const ran = { timings: { queueMs: 0, waitMs: 0, runMs: 1 } };
    // Each row takes at least a millisecond here, and a job may take a quarter of the deadline.
    for (const [n, rowCount] of [1, 1, 32, 1, 32].entries()) {
      const values = Array.from({ length: rowCount }, (_, i) => i);
      const answer = rig.submit(values);
      const job = (await rig.jobs.filled(n + 1))[n];
      const untilMs = performance.now() + rowCount;
      while (performance.now() < untilMs);
      rig.echo(job, ran);
      await answer;
    }
    const answers = Array.from({ length: 40 }, (_, i) => rig.submit([i]));
    const job = (await rig.jobs.filled(6))[5];
    expect(job?.entries.length, 'of 40 that wait').to.be.within(1, 33);
    rig.coalescer.close();
    await Promise.allSettled(answers);
  });

  it('takes a job back from its lane when all its callers have left, and only then', async () => {
    const rig = makeRig();
    const callers = [new AbortController(), new AbortController()];
    const refusals = callers.map(({ signal }, value) => rejectionOf(rig.submit([value], { signal })));
    const [job] = await rig.jobs.filled(1);
    const next = rig.submit([9]);
    const reason = new Error('the client left');
    callers[0]?.abort(reason);
    expect(rig.takenBack.items).to.deep.equal([]);
    callers[1]?.abort(reason);
    expect(await rig.takenBack.filled(1)).to.deep.equal([job?.id]);
    expect(await Promise.all(refusals)).to.deep.equal([reason, reason]);
    const [, second] = await rig.jobs.filled(2);
    rig.echo(second);
    expect(answerValues(await next)).to.deep.equal([9]);
  });

  it('leaves a job to the worker that has it, also when all its callers have left', async () => {
    const rig = makeRig();
    rig.isWaiting = false;
    const caller = new AbortController();
    const answer = rig.submit([1], { signal: caller.signal });
    const [job] = await rig.jobs.filled(1);
    caller.abort(new Error('the client left'));
    await rig.takenBack.filled(1);
    expect(rig.coalescer.jobsInFlight).to.equal(1);
    rig.echo(job);
    expect(answerValues(await answer)).to.deep.equal([1]);
  });

  it('rejects all of a job that could not be added, and goes on with the next', async () => {
    const rig = makeRig();
    rig.addError = new MillraceError('service_unavailable', 'The queue is out of reach');
    const refused = [1, 2].map((value) => rejectionOf(rig.submit([value])));
    for (const refusal of await Promise.all(refused)) expect(refusal).to.equal(rig.addError);
    rig.addError = undefined;
    const answer = rig.submit([3]);
    const [job] = await rig.jobs.filled(1);
    rig.echo(job);
    expect(answerValues(await answer)).to.deep.equal([3]);
    expect(rig.forgotten.size).to.equal(1);
  });

  it('times a waiting request out, and a lost job with its last deadline: the version goes on', async () => {
    const rig = makeRig();
    const events = createInbox<JobEvent>();
    const listen = (event: unknown): void => events.push(event as JobEvent);
    channels.job.subscribe(listen);
    const nowMs = performance.now();
    const inJob = [30, 60].map((ms) => rejectionOf(rig.submit([ms], { deadlineMs: nowMs + ms })));
    const [job] = await rig.jobs.filled(1);
    const waiting = rejectionOf(rig.submit([1], { deadlineMs: nowMs + 20 }));
    const next = rig.submit([2]);
    for (const refusal of await Promise.all([waiting, ...inJob]))
      expect(refusal).to.include({ code: 'timeout' });
    expect(performance.now()).to.be.at.least(nowMs + 60);
    const [, second] = await rig.jobs.filled(2);
    expect(second?.entries).to.have.length(1);
    rig.echo(second);
    expect(answerValues(await next)).to.deep.equal([2]);
    rig.forgotten.get(job?.id ?? '')?.();
    channels.job.unsubscribe(listen);
    expect(events.items.map(({ phase }) => phase)).to.deep.equal([
      'submitted',
      'lost',
      'submitted',
      'settled',
      'late',
    ]);
    expect(events.items[4]).to.deep.equal({ ...events.items[1], phase: 'late' });
  });

  it('does not send a request whose deadline has passed or whose caller has left', async () => {
    const rig = makeRig();
    const controller = new AbortController();
    const refusals = [
      rejectionOf(rig.submit([1], { deadlineMs: performance.now() - 1 })),
      rejectionOf(rig.submit([2], { signal: controller.signal })),
    ];
    const reason = new Error('the client left');
    controller.abort(reason);
    const answer = rig.submit([3]);
    const [expired, cancelled] = await Promise.all(refusals);
    expect(expired).to.include({ code: 'timeout' });
    expect(cancelled).to.equal(reason);
    const [job] = await rig.jobs.filled(1);
    expect(rowValues(decodeTensors(job?.payload ?? new Uint8Array()))).to.deep.equal([3]);
    rig.echo(job);
    await answer;
  });

  it('rejects all that is left when it is closed', async () => {
    const rig = makeRig();
    const inJob = rejectionOf(rig.submit([1]));
    await rig.jobs.filled(1);
    const waiting = rejectionOf(rig.submit([2]));
    rig.coalescer.close();
    const after = rejectionOf(rig.submit([3]));
    for (const refusal of await Promise.all([inJob, waiting, after]))
      expect(refusal).to.include({ code: 'service_unavailable' });
    expect(rig.coalescer).to.include({ pendingRows: 0, jobsInFlight: 0 });
  });
});
