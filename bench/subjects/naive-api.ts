import { Queue, QueueEvents } from 'bullmq';
import express from 'express';

/** The pipeline as a first version usually has it: one BullMQ job a request, waitUntilFinished, JSON numbers. */
const [port, redisUrl] = [Number(process.argv[2]), process.argv[3] as string];
const connection = { url: redisUrl, maxRetriesPerRequest: null };
const queue = new Queue('naive', { connection });
const events = new QueueEvents('naive', { connection });
queue.setMaxListeners(0);
events.setMaxListeners(0);
await events.waitUntilReady();

const app = express();
app.disable('x-powered-by');
app.disable('etag');
app.post('/api/v1/predict', express.json(), async (request, response) => {
  const started = performance.now();
  const { inputs } = request.body as { inputs: number[] };
  const job = await queue.add('predict', { inputs }, { removeOnComplete: { age: 10 } });
  const probabilities = (await job.waitUntilFinished(events, 5000)) as number[];
  const score = Math.max(...probabilities);
  response.json({
    predictions: [{ id: job.id, output: `class_${probabilities.indexOf(score)}`, probabilities, score }],
    model_version: '1',
    model_name: 'naive',
    processing_time_ms: performance.now() - started,
  });
});
const server = app.listen(port, '127.0.0.1', () => process.stdout.write('listening\n'));
process.once('SIGTERM', () => {
  server.close();
  void Promise.all([queue.close(), events.close()]);
});
