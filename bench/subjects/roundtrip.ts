import { Queue, Worker } from 'bullmq';
import { Redis } from 'ioredis';

/**
 * The floor for one request at a time: a bare BullMQ add → worker → PUBLISH round trip, in one process with
 * connections of its own. Prints the latencies' median in milliseconds.
 */
const [redisUrl, rounds] = [process.argv[2] as string, Number(process.argv[3] ?? 3000)];
const client = (): Redis => new Redis(redisUrl, { maxRetriesPerRequest: null });
const [queueClient, workerClient, publisher, subscriber] = [client(), client(), client(), client()];
const queue = new Queue('roundtrip', { connection: queueClient });
const worker = new Worker(
  'roundtrip',
  async (job) => void (await publisher.publish('roundtrip:reply', String(job.data))),
  {
    connection: workerClient,
  },
);
await worker.waitUntilReady();
await subscriber.subscribe('roundtrip:reply');
let settle: () => void = () => undefined;
subscriber.on('message', () => settle());

const latencies: number[] = [];
for (let round = 0; round < rounds; round += 1) {
  const started = performance.now();
  const answered = new Promise<void>((resolve) => {
    settle = resolve;
  });
  await queue.add('r', String(round), { removeOnComplete: true });
  await answered;
  if (round >= rounds / 5) latencies.push(performance.now() - started);
}
latencies.sort((a, b) => a - b);
process.stdout.write(`${JSON.stringify({ p50Ms: latencies[latencies.length >> 1] })}\n`);
await worker.close();
await queue.close();
for (const redis of [queueClient, workerClient, publisher, subscriber]) redis.disconnect();
