import { expect } from 'chai';
import { until } from '../../src/dev/readiness.ts';
import type { InferenceResult } from '../../src/queues/result.ts';
import { tensor } from '../support/builders.ts';
import { descendantsOf, isAlive } from '../support/processes.ts';
import { freePort, startRedis } from '../support/redis-server.ts';
import { startStackProcess } from '../support/stack-process.ts';
import { startStack } from '../support/stack.ts';
import type { Stack, StackOptions } from '../support/stack.ts';
import { openJobClient } from './support/job-client.ts';
import type { JobClient } from './support/job-client.ts';

const models = ['nonce', 'slow-loop'].map((name) => ({
  file: `test/fixtures/models/${name}.onnx`,
  manifest: { schema_version: 1, name } as const,
}));

const nonceRows = (...values: readonly number[]) =>
  new Map([['x', tensor('FP64', [values.length, 1], values)]]);
/** 25 to 30 µs each. */
const loop = (iterations: bigint) => new Map([['iterations', tensor('INT64', [1], [iterations])]]);

function valuesOf({ tensors, failures }: InferenceResult): readonly unknown[] {
  expect(failures).to.deep.equal([]);
  return Array.from<unknown>(tensors.get('y')?.data ?? []);
}

describe('worker process', function () {
  this.timeout(60_000);
  let stack: Stack | undefined;
  let client: JobClient | undefined;

  async function start(options: StackOptions): Promise<{ stack: Stack; client: JobClient }> {
    const env = { MILLRACE_WORKER_HEARTBEAT_MS: '100', MILLRACE_LOG_LEVEL: 'info', ...options.env };
    stack = await startStack({ apis: 0, models, ...options, env });
    client = await openJobClient(stack);
    return { stack, client };
  }

  afterEach(async function () {
    if (this.currentTest?.state === 'failed') process.stderr.write(`${stack?.logs()}\n`);
    await client?.close();
    await stack?.stop();
    client = undefined;
    stack = undefined;
  });

  it('answers jobs, loads ahead, and says so with every heartbeat', async () => {
    const { client: api } = await start({ workers: 1 });
    const answers = await Promise.all([1, 2, 3].map((value) => api.ask('nonce', nonceRows(value))));
    expect(answers.map(valuesOf)).to.deep.equal([[4], [7], [10]]);
    const { loaded, pool, draining } = await api.heartbeat(() => true);
    expect(loaded).to.have.members(['nonce/1', 'slow-loop/1']);
    expect({ pool, draining }).to.deep.equal({ pool: 'default', draining: false });
  });

  it('is stood in for by another worker when it is killed with a run in hand', async () => {
    const { stack: system, client: api } = await start({ workers: 2 });
    const answer = api.ask('slow-loop', loop(40_000n));
    const { workerId } = await api.heartbeat(({ busyHostCount }) => busyHostCount > 0);
    const victim = system.workers.find(({ log }) => log.includes(workerId));
    await victim?.kill('SIGKILL');
    const result = await answer;
    expect(valuesOf(result)).to.deep.equal([40_000n]);
    expect(result.workerId).not.to.equal(workerId);
  });

  it('finishes what it has in hand when it is told to stop, says goodbye and leaves nothing behind', async () => {
    const { stack: system, client: api } = await start({ workers: 1 });
    const [worker] = system.workers;
    const hostPids = descendantsOf(worker?.pid ?? 0);
    expect(hostPids).to.have.length(1);
    const answer = api.ask('slow-loop', loop(20_000n));
    await api.heartbeat(({ busyHostCount }) => busyHostCount > 0);
    const goodbye = api.withdrawal();
    const drains = api.heartbeat(({ draining }) => draining);
    const ended = worker?.kill('SIGTERM');
    const result = await answer;
    expect(valuesOf(result)).to.deep.equal([20_000n]);
    expect((await drains).workerId).to.equal(result.workerId);
    expect(await goodbye).to.equal(result.workerId);
    await ended;
    expect(hostPids.filter(isAlive)).to.deep.equal([]);
  });

  it('stays up without Redis and works as soon as there is one', async () => {
    const redis = await startRedis();
    const system = await startStack({ apis: 0, workers: 0, models, redis });
    await redis.kill();
    const adminPort = await freePort();
    const worker = startStackProcess({
      name: 'worker',
      script: 'src/workers/main.ts',
      env: {
        MILLRACE_ENVIRONMENT: 'test',
        MILLRACE_HOME: system.home,
        MILLRACE_REDIS_URL: redis.url,
        MILLRACE_REDIS_PREFIX: system.redisPrefix,
        MILLRACE_WORKER_ADMIN_PORT: String(adminPort),
        MILLRACE_LOG_LEVEL: 'info',
      },
    });
    const probe = (path: string) => fetch(`http://127.0.0.1:${adminPort}${path}`);
    try {
      await worker.logged(/listening on/);
      await worker.logged(/ECONNREFUSED/);
      // Told to stop before it ever had a connection, it ends at once and has nothing to complain of.
      await worker.kill('SIGTERM');
      expect(worker.exitCode).to.equal(0);
      expect(worker.log).not.to.match(/goodbye|by force|heartbeat|could not begin/);
      worker.start();
      await until(async () => (await probe('/livez')).ok, worker.ended);
      expect((await probe('/livez')).status).to.equal(200);
      expect((await probe('/readyz')).status).to.equal(503);
      await redis.restart();
      await until(async () => (await probe('/readyz')).status === 200, worker.ended);
      client = await openJobClient(system);
      expect(valuesOf(await client.ask('nonce', nonceRows(5)))).to.deep.equal([16]);
    } finally {
      await worker.stop();
      await client?.close();
      client = undefined;
      await system.stop();
      await redis.stop();
    }
  });

  it('ends by itself when it is told to stop while there is no Redis', async () => {
    const redis = await startRedis();
    const system = await startStack({ apis: 0, workers: 1, models, redis });
    await redis.kill();
    await system.stop();
    await redis.stop();
  });
});
