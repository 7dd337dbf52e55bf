import { Worker } from 'bullmq';
import { InferenceSession, Tensor } from 'onnxruntime-node';

/** The other half of the naive pipeline: the model runs on the thread that also renews the locks. */
const [redisUrl, modelPath] = [process.argv[2] as string, process.argv[3] as string];
const session = await InferenceSession.create(modelPath, { intraOpNumThreads: 1, interOpNumThreads: 1 });
const [input, output] = [session.inputNames[0] as string, session.outputNames.at(-1) as string];
const worker = new Worker(
  'naive',
  async (job) => {
    const { inputs } = job.data as { inputs: number[] };
    const results = await session.run({
      [input]: new Tensor('float32', Float32Array.from(inputs), [1, inputs.length]),
    });
    return Array.from(results[output]?.data as Float32Array);
  },
  { connection: { url: redisUrl, maxRetriesPerRequest: null }, concurrency: 64 },
);
await worker.waitUntilReady();
process.stdout.write('listening\n');
process.once('SIGTERM', () => void worker.close());
