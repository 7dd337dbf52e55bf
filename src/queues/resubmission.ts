import { channels } from '../channels.ts';
import type { FaultEvent } from '../channels.ts';
import type { JobProducer } from './job-queue.ts';
import type { InferenceJob } from './job.ts';
import type { ResultReceiver } from './result-channel.ts';

export interface ResubmissionOptions {
  readonly producer: JobProducer;
  readonly receiver: ResultReceiver;
  /** Those of the jobs of which Redis knows nothing: neither they nor their results. Rejects when it is out of reach. */
  readonly unknown: (jobs: readonly InferenceJob[]) => Promise<readonly InferenceJob[]>;
  /** How long a job may be out before it is asked for, and how often then. */
  readonly askAfterMs?: number;
}

/** Both ends of the queue, as the coalescer takes them, with a watch over what is between them. */
export interface ResubmittingQueue {
  readonly producer: JobProducer;
  readonly receiver: ResultReceiver;
}

/**
 * Under load a job is back within some 10 ms, so that hardly one is asked for. Two of these fit into the default
 * deadline of 2 s: a job that was lost at once is submitted again with a second left.
 */
const askAfterMsDefault = 500;
/** Jobs in one question: a pipeline of 512 commands. The next ones are asked for by the next. */
const askedCountMax = 256;

interface Outstanding {
  readonly job: InferenceJob;
  /** By performance.now(): when it left, or was last found. */
  knownAtMs: number;
}

/**
 * Submits again what Redis has lost: FLUSHALL, a failover to a replica that lagged behind, a restart that came
 * before the last fsync. The job keeps its id, so that this is safe whatever became of it: BullMQ ignores a job
 * that it has, and of two results the first counts, which has the same rows as the second.
 */
export function withResubmission(options: ResubmissionOptions): ResubmittingQueue {
  const { producer, receiver, unknown, askAfterMs = askAfterMsDefault } = options;
  /** In the order of leaving. */
  const outstanding = new Map<string, Outstanding>();
  let timer: NodeJS.Timeout | undefined;
  let isClosed = false;

  function watch(): void {
    if (timer === undefined && !isClosed) timer = setTimeout(() => void sweep(), askAfterMs / 2);
  }

  async function sweep(): Promise<void> {
    const nowMs = performance.now();
    const late: Outstanding[] = [];
    for (const each of outstanding.values()) {
      if (late.length >= askedCountMax) break;
      if (nowMs - each.knownAtMs >= askAfterMs) late.push(each);
    }
    if (late.length > 0) await resubmitLost(late, nowMs);
    timer = undefined;
    if (outstanding.size > 0) watch();
  }

  /** Redis out of reach is told by others, and tells nothing of the jobs. */
  async function resubmitLost(late: readonly Outstanding[], nowMs: number): Promise<void> {
    let lost: readonly InferenceJob[];
    try {
      lost = await unknown(late.map(({ job }) => job));
    } catch {
      return;
    }
    for (const each of late) each.knownAtMs = nowMs;
    // Some may have come back while the question was on its way.
    const again = lost.filter(({ id }) => outstanding.has(id));
    if (again.length === 0) return;
    publishFault(`Redis has lost ${again.length} jobs; they are submitted again`);
    // A failure leaves the job outstanding: it is found missing once more.
    await Promise.allSettled(again.map((job) => producer.add(job)));
  }

  return {
    producer: {
      add: (job) => {
        outstanding.set(job.id, { job, knownAtMs: performance.now() });
        watch();
        return producer.add(job);
      },
      // Asked for at the same moment it may be submitted again: it then runs for nobody, which changes nothing.
      takeBack: (job) => producer.takeBack(job),
      depth: (pool, lane) => producer.depth(pool, lane),
      close: async () => {
        isClosed = true;
        clearTimeout(timer);
        outstanding.clear();
        await producer.close();
      },
    },
    receiver: {
      get replyTo() {
        return receiver.replyTo;
      },
      get connected() {
        return receiver.connected;
      },
      expect: (jobId, settle) =>
        receiver.expect(jobId, (outcome) => {
          outstanding.delete(jobId);
          settle(outcome);
        }),
      forget: (jobId, late) => {
        outstanding.delete(jobId);
        receiver.forget(jobId, late);
      },
      close: () => receiver.close(),
    },
  };
}

function publishFault(message: string): void {
  channels.fault.publish({ component: 'resubmission', message } satisfies FaultEvent);
}
