import { readFileSync, writeSync } from 'node:fs';
import { Worker } from 'node:worker_threads';
import { MillraceError, toErrorRecord } from '../../errors.ts';
import { OnnxTrial } from './onnx-trial.ts';
import { modelFile, reportFd, requestFile } from './trial-request.ts';
import type { TrialReport, TrialRequest } from './trial-request.ts';
import { runTrial } from './trial.ts';

/** Entry of the gate's child process. Its folder holds the model and the request; it answers on its own pipe. */
const watchdog = new Worker(new URL('./watchdog.ts', import.meta.url));

const report = await makeReport();
writeSync(reportFd, JSON.stringify(report));
await watchdog.terminate();

async function makeReport(): Promise<TrialReport> {
  try {
    const request = JSON.parse(readFileSync(requestFile, 'utf8')) as TrialRequest;
    const trial = await OnnxTrial.load(readFileSync(modelFile));
    return { kind: 'passed', ranks: [...(await runTrial(request, trial))] };
  } catch (error) {
    return { kind: 'refused', error: toErrorRecord(withoutCause(error)) };
  }
}

/** What our own code did not foresee is the file's doing here: the text of such an error is nobody's business. */
function withoutCause(error: unknown): MillraceError {
  if (MillraceError.is(error) && error.code === 'invalid_input') return error;
  return new MillraceError('invalid_input', 'The ONNX file failed its trial run');
}
