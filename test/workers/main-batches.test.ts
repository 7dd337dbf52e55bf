import { expect } from 'chai';
import { startStack } from '../support/stack.ts';
import type { Stack, StackMember, StackOptions } from '../support/stack.ts';
import { integers } from './bulk/support/chunk-rig.ts';
import { openBatchClient } from './support/batch-client.ts';
import type { BatchClient } from './support/batch-client.ts';
import { openJobClient } from './support/job-client.ts';
import type { JobClient } from './support/job-client.ts';

const models = ['gather-strict', 'slow-loop'].map((name) => ({
  file: `test/fixtures/models/${name}.onnx`,
  manifest: { schema_version: 1, name } as const,
}));

describe('worker process, batches', function () {
  this.timeout(60_000);
  let stack: Stack;
  let batches: BatchClient;
  let client: JobClient;

  async function start(options: StackOptions): Promise<readonly StackMember[]> {
    const env = { MILLRACE_WORKER_HEARTBEAT_MS: '100', MILLRACE_LOG_LEVEL: 'info', ...options.env };
    stack = await startStack({ apis: 0, models, ...options, env });
    batches = await openBatchClient(stack);
    client = await openJobClient(stack);
    return stack.workers;
  }

  afterEach(async function () {
    if (this.currentTest?.state === 'failed') process.stderr.write(`${stack.logs()}\n`);
    await batches.close();
    await client.close();
    await stack.stop();
  });

  it('runs the chunks of a batch and says what became of each row', async () => {
    const [worker] = (await start({ workers: 1 })) as [StackMember];
    expect(await batches.rowsFor('gather-strict', 25, worker.ended)).to.equal(64);
    const chunks = Array.from({ length: 20 }, (_, index) =>
      integers('index', 100, (row) => (index === 7 && row === 50 ? 99 : row % 10)),
    );
    const id = await batches.submit('gather-strict', chunks);
    expect(await batches.ended(id, worker.ended)).to.include({
      status: 'completed',
      rowsSucceeded: 1999,
      rowsFailed: 1,
      rowsRetryable: 1,
      chunksDone: 20,
    });
    const results = await batches.results(id);
    expect(results[7]?.failures.map(({ row, error }) => [row, error.code])).to.deep.equal([
      [50, 'invalid_input'],
    ]);
    expect(results[7]?.failures[0]?.error.message).to.match(/^Row 750: /);
    const metrics = await (await fetch(`${worker.adminUrl}/metrics`)).text();
    expect(metrics).to.match(
      /millrace_chunks_total\{model="gather-strict",version="1",outcome="settled".*\} 20/,
    );
    expect(metrics).to.match(/millrace_dead_letters_total\{model="gather-strict".*\} 1/);
  });

  it('is stood in for by another worker when it is killed in the middle of a chunk: each row has one result', async () => {
    const workers = await start({ workers: 2 });
    const chunks = Array.from({ length: 6 }, (_, index) =>
      integers('iterations', 10, (row) => 1000 + 10 * index + row),
    );
    const id = await batches.submit('slow-loop', chunks);
    const { workerId } = await client.heartbeat(({ busyHostCount }) => busyHostCount > 0);
    const victim = workers.find(({ log }) => log.includes(workerId)) as StackMember;
    const survivor = workers.find((worker) => worker !== victim) as StackMember;
    await victim.kill('SIGKILL');
    expect(await batches.ended(id, survivor.ended)).to.include({
      status: 'completed',
      rowsSucceeded: 60,
      rowsFailed: 0,
      chunksDone: 6,
    });
    const values = (await batches.results(id)).flatMap(({ tensors }) =>
      Array.from<unknown>(tensors.get('y')?.data ?? []),
    );
    expect(values).to.deep.equal(Array.from({ length: 60 }, (_, row) => BigInt(1000 + row)));
  });

  it('settles the chunks in hand when it is told to stop; the others wait for the next worker', async () => {
    const [worker] = (await start({ workers: 1 })) as [StackMember];
    const chunks = Array.from({ length: 8 }, () => integers('iterations', 5, () => 1000));
    const id = await batches.submit('slow-loop', chunks);
    await client.heartbeat(({ busyHostCount }) => busyHostCount > 0);
    await worker.kill('SIGTERM');
    expect(worker.exitCode).to.equal(0);
    expect(worker.log).not.to.match(/was not settled/);
    const next = await stack.addWorker();
    expect(await batches.ended(id, next.ended)).to.include({ status: 'completed', rowsSucceeded: 40 });
  });

  it('answers predictions while a batch keeps its hosts busy', async () => {
    const [worker] = (await start({ workers: 1 })) as [StackMember];
    const chunks = Array.from({ length: 8 }, () => integers('iterations', 200, () => 500));
    const id = await batches.submit('slow-loop', chunks);
    await client.heartbeat(({ busyHostCount }) => busyHostCount > 0);
    const answers = await Promise.all(
      [1, 2, 3].map((index) =>
        client.ask(
          'gather-strict',
          integers('index', 1, () => index),
        ),
      ),
    );
    expect(answers.map(({ tensors }) => tensors.get('value')?.data[0])).to.deep.equal([101, 102, 103]);
    await batches.cancel(id);
    expect(await batches.ended(id, worker.ended)).to.include({ status: 'cancelled' });
  });
});
