import { createReadStream } from 'node:fs';
import { createInterface } from 'node:readline';
import { InferenceSession, Tensor } from 'onnxruntime-node';

/**
 * The yardstick of batches: one plain Node process that parses an NDJSON file, runs it through a session in batches and
 * stringifies the results. Nothing is validated, stored or kept in order across processes; the text is only counted.
 * Prints one JSON line. Arguments: model, file, rows a run.
 */
const [modelPath, file, rowsPerRun] = [
  process.argv[2] as string,
  process.argv[3] as string,
  Number(process.argv[4]),
];
const session = await InferenceSession.create(modelPath, { intraOpNumThreads: 1, interOpNumThreads: 1 });
const [input, output] = [session.inputNames[0] as string, session.outputNames.at(-1) as string];
let characters = 0;
let rows = 0;

async function run(batch: readonly (readonly number[])[]): Promise<void> {
  const width = batch[0]?.length ?? 0;
  const data = new Float32Array(batch.length * width);
  for (const [index, row] of batch.entries()) data.set(row, index * width);
  const results = await session.run({ [input]: new Tensor('float32', data, [batch.length, width]) });
  const probabilities = results[output]?.data as Float32Array;
  const classes = probabilities.length / batch.length;
  for (let row = 0; row < batch.length; row += 1) {
    const scores = probabilities.subarray(row * classes, (row + 1) * classes);
    const label = scores.indexOf(Math.max(...scores));
    const line = JSON.stringify({ row: rows + row, output: `class_${label}`, score: scores[label] });
    characters += line.length + 1;
  }
  rows += batch.length;
}

const startedAtMs = performance.now();
let batch: number[][] = [];
for await (const line of createInterface({ input: createReadStream(file) })) {
  batch.push(JSON.parse(line) as number[]);
  if (batch.length < rowsPerRun) continue;
  await run(batch);
  batch = [];
}
if (batch.length > 0) await run(batch);
const seconds = (performance.now() - startedAtMs) / 1000;
process.stdout.write(`${JSON.stringify({ rows, seconds, characters })}\n`);
