import { followBatch } from './batch-events.ts';
import { hasEnded } from './batch-object.ts';
import type { BatchObject } from './batch-object.ts';
import type { Context } from './command.ts';
import { exitCodes } from './exit-code.ts';
import type { ExitCode } from './exit-code.ts';
import { describeDetails } from './failures.ts';
import { count, duration } from './progress.ts';
import type { Progress } from './progress.ts';
import { RateMeter } from './rate-meter.ts';

/** Shows how a batch goes on until it has ended, and returns how it ended. */
export async function watchBatch(context: Context, id: string): Promise<BatchObject> {
  context.onInterrupt(`The batch goes on. Come back to it:  millrace batch status ${id} --watch`);
  const meter = new RateMeter();
  let last: BatchObject | undefined;
  for await (const batch of followBatch(context.api, id, context.interrupted)) {
    meter.add(batch.counts.succeeded + batch.counts.failed, performance.now());
    context.display.show(toProgress(batch, meter.perSecond()));
    last = batch;
  }
  context.display.clear();
  if (last === undefined) throw new Error('A batch that is followed has at least one state');
  return last;
}

function toProgress({ id, counts, paused }: BatchObject, perSecond: number | null): Progress {
  const done = counts.succeeded + counts.failed;
  return { label: id, unit: 'rows', done, total: counts.total, perSecond, failed: counts.failed, paused };
}

/** How a batch is going, or how it ended, in a line; and lines on what to do about it. */
export function describeBatch(batch: BatchObject): readonly string[] {
  const { id, status, paused, counts, error, retry_of: retryOf } = batch;
  const facts = [
    `${id} ${status}${paused ? ', paused' : ''}`,
    `${batch.model_name} ${batch.model_version}`,
    rowsOf(batch),
    ...(counts.failed === 0 ? [] : [`${count(counts.failed)} failed`]),
    ...(hasEnded(batch) ? [tookOf(batch)] : etaOf(batch)),
    ...(retryOf === null ? [] : [`a retry of ${retryOf}`]),
  ];
  return [
    facts.filter((fact) => fact !== '').join(' · '),
    ...(error === null
      ? []
      : [`    ${error.code}: ${error.message}`, ...describeDetails(error.details).map(indent)]),
  ];
}

function rowsOf(batch: BatchObject): string {
  const { total, succeeded, failed } = batch.counts;
  const done = count(succeeded + failed);
  if (total === null) return hasEnded(batch) ? `${done} rows` : `${done} rows so far`;
  return total === succeeded + failed ? `${done} rows` : `${done} of ${count(total)} rows`;
}

function tookOf({ started_at: startedAt, finished_at: finishedAt }: BatchObject): string {
  if (startedAt === null || finishedAt === null) return '';
  const tookMs = Date.parse(finishedAt) - Date.parse(startedAt);
  if (tookMs < 1000) return `${tookMs} ms`;
  return tookMs < 60_000 ? `${(tookMs / 1000).toFixed(1)} s` : duration(tookMs / 1000);
}

function etaOf({ eta_seconds: etaS }: BatchObject): readonly string[] {
  return etaS === null ? [] : [`ETA ${duration(etaS)}`];
}

function indent(line: string): string {
  return `    ${line}`;
}

/** For the end of a batch that was waited for: how it went, and the commands that come next. */
export function describeEnd(batch: BatchObject, resultsShown: boolean): readonly string[] {
  const { id, status, counts } = batch;
  if (counts.total === 0) return describeBatch(batch);
  const results = resultsShown ? [] : [`    results:  millrace batch results ${id}`];
  // Which of them reached a run, only the server knows: it refuses a retry where none did.
  const retry =
    counts.failed > 0 && status === 'completed'
      ? [`    again, the rows that failed in a run:  millrace batch retry ${id}`]
      : [];
  return [...describeBatch(batch), ...results, ...retry];
}

/** A batch that goes on is no failure, nor are failed rows of which it is not known yet whether they are all. */
export function exitCodeOf(batch: BatchObject): ExitCode {
  if (!hasEnded(batch)) return exitCodes.ok;
  return batch.status === 'completed' && batch.counts.failed === 0 ? exitCodes.ok : exitCodes.failed;
}
