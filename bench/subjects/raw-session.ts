import { InferenceSession, Tensor } from 'onnxruntime-node';

/**
 * Rows a second of a bare session at each of several batch sizes, packed beforehand. Prints one JSON line.
 * Arguments: model, numbers a row.
 */
const [modelPath, width] = [process.argv[2] as string, Number(process.argv[3])];
const session = await InferenceSession.create(modelPath, { intraOpNumThreads: 1, interOpNumThreads: 1 });
const input = session.inputNames[0] as string;
const measureMs = 500;
let best = { rowsPerRun: 0, perSecond: 0 };
for (const rowsPerRun of [1, 16, 64, 256, 1024]) {
  const data = Float32Array.from({ length: rowsPerRun * width }, () => Math.random());
  const tensor = new Tensor('float32', data, [rowsPerRun, width]);
  await session.run({ [input]: tensor });
  const startedAtMs = performance.now();
  let rows = 0;
  while (performance.now() - startedAtMs < measureMs) {
    await session.run({ [input]: tensor });
    rows += rowsPerRun;
  }
  const perSecond = (rows * 1000) / (performance.now() - startedAtMs);
  if (perSecond > best.perSecond) best = { rowsPerRun, perSecond };
}
process.stdout.write(`${JSON.stringify(best)}\n`);
