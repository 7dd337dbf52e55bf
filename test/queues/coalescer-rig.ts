import { createCoalescer } from '../../src/queues/coalescer.ts';
import type {
  CoalescedAnswer,
  Coalescer,
  CoalescerLimits,
  CoalescerRequest,
} from '../../src/queues/coalescer.ts';
import type { JobProducer } from '../../src/queues/job-queue.ts';
import type { InferenceJob } from '../../src/queues/job.ts';
import type { ResultReceiver } from '../../src/queues/result-channel.ts';
import { resultSchemaVersion } from '../../src/queues/result.ts';
import type { InferenceResult, ResultOutcome } from '../../src/queues/result.ts';
import { decodeTensors } from '../../src/tensors/binary-codec.ts';
import { rows, rowValues, sampleVersion } from './builders.ts';
import { createInbox } from './inbox.ts';
import type { Inbox } from './inbox.ts';

/**
 * A coalescer between two ports whose other side the test holds: jobs pile up in `jobs`, and nothing comes back
 * until the test says so. The ports themselves are proven against Redis in test/contracts.
 */
export interface CoalescerRig {
  readonly coalescer: Coalescer;
  readonly jobs: Inbox<InferenceJob>;
  /** Ids that were forgotten, with what to call when they come late. */
  readonly forgotten: ReadonlyMap<string, () => void>;
  /** Jobs that were taken back from their lane. */
  readonly takenBack: Inbox<InferenceJob['id']>;
  /** Whether a job that is taken back still waits in its lane. */
  isWaiting: boolean;
  /** Set to make adding fail. */
  addError: Error | undefined;
  submit(values: readonly number[], over?: Partial<CoalescerRequest>): Promise<CoalescedAnswer>;
  /** Answers with the job's own rows. */
  echo(job: InferenceJob | undefined, over?: Partial<InferenceResult>): void;
  deliver(jobId: string, outcome: ResultOutcome): void;
}

export const limits: CoalescerLimits = {
  jobsInFlightMax: 1,
  batchRowsMax: 4,
  batchBytesMax: 1000,
  pendingRowsMax: 20,
  queueDelayMsMax: 10_000,
  timeoutMs: 10_000,
};

export const version = sampleVersion();

export function makeCoalescerRig(over: Partial<CoalescerLimits> = {}): CoalescerRig {
  const jobs = createInbox<InferenceJob>();
  const takenBack = createInbox<InferenceJob['id']>();
  const waiters = new Map<string, (outcome: ResultOutcome) => void>();
  const forgotten = new Map<string, () => void>();
  const receiver: ResultReceiver = {
    replyTo: 'api-1',
    connected: true,
    expect: (jobId, settle) => void waiters.set(jobId, settle),
    forget: (jobId, late) => {
      waiters.delete(jobId);
      forgotten.set(jobId, late);
    },
    close: () => Promise.resolve(),
  };
  const producer: JobProducer = {
    add: async (job) => {
      if (rig.addError !== undefined) throw rig.addError;
      if (!waiters.has(job.id)) throw new Error('the waiter must be registered before the job is added');
      jobs.push(job);
    },
    takeBack: async ({ id }) => {
      takenBack.push(id);
      return rig.isWaiting;
    },
    depth: () => Promise.resolve(0),
    close: () => Promise.resolve(),
  };
  const coalescer = createCoalescer({
    producer,
    receiver,
    clock: { nowMs: () => performance.now() },
    limits: { ...limits, ...over },
    poolOf: (manifest) => manifest.pool ?? 'default',
  });
  let requestCount = 0;
  const rig: CoalescerRig = {
    coalescer,
    jobs,
    forgotten,
    takenBack,
    isWaiting: true,
    addError: undefined,
    submit: (values, requestOver = {}) =>
      coalescer.submit({
        requestId: `req_${requestCount++}`,
        version,
        tensors: rows(...values),
        bytes: 4 * values.length,
        compatibilityKey: 'x:FP32[1]',
        outputs: null,
        deadlineMs: performance.now() + 10_000,
        ...requestOver,
      }),
    echo: (job, resultOver = {}) => {
      if (job === undefined) throw new Error('no such job');
      const tensors = decodeTensors(job.payload);
      rig.deliver(job.id, {
        kind: 'result',
        result: {
          schemaVersion: resultSchemaVersion,
          id: job.id,
          workerId: 'worker-1',
          failures: [],
          tensors,
          timings: { queueMs: 0, waitMs: 0, runMs: 0 },
          batchRows: rowValues(tensors).length,
          ...resultOver,
        },
      });
    },
    deliver: (jobId, outcome) => {
      const settle = waiters.get(jobId);
      waiters.delete(jobId);
      settle?.(outcome);
    },
  };
  return rig;
}

/** The rows of an answer, as values. */
export function answerValues({ result, firstRow, rowCount }: CoalescedAnswer): readonly number[] {
  return rowValues(result.tensors).slice(firstRow, firstRow + rowCount);
}
