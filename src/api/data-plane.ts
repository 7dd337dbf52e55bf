import type { CacheOutcome } from '../channels.ts';
import { MillraceError } from '../errors.ts';
import { compileCompatibilityKey } from '../processing/batch-key.ts';
import { takesWideIntegers } from '../processing/instance-parser.ts';
import { compilePacker } from '../processing/pack-instance.ts';
import { compileRenderer } from '../processing/render.ts';
import type { Prediction } from '../processing/render.ts';
import { checkOutputs } from '../processing/result-outputs.ts';
import type { Cancellation } from '../queues/batch-former.ts';
import type { Coalescer } from '../queues/coalescer.ts';
import type { MemoryGuard } from '../queues/memory-guard.ts';
import type { SharedClock } from '../queues/shared-clock.ts';
import type { PresenceObserver } from '../queues/worker-presence.ts';
import { poolOf } from '../registry/manifest.ts';
import type { ModelVersion } from '../registry/model-version.ts';
import type { Resolver } from '../registry/resolver.ts';
import { parseExactJson } from '../tensors/exact-json.ts';
import type { NamedTensors } from '../tensors/tensor.ts';
import type { Admission, Permit } from './admission.ts';
import { chosenVersion } from './chosen-version.ts';
import type { PredictRequest } from './predict-request.ts';
import type { Computed, Question, Reuse, SharedAnswer, SharedAnswers } from './shared-answers.ts';

/** What stands only while Redis has been reached. */
export interface Engine {
  readonly coalescer: Coalescer;
  readonly presence: PresenceObserver;
  readonly clock: Pick<SharedClock, 'nowMs'>;
}

export interface DataPlaneOptions {
  readonly admission: Admission;
  readonly resolver: Pick<Resolver, 'resolve'>;
  /** Undefined until Redis was reached for the first time. */
  readonly engine: () => Engine | undefined;
  readonly answers: SharedAnswers;
  readonly memory: Pick<MemoryGuard, 'admit'>;
  readonly defaultModel: string;
  /** Deadline where neither request nor manifest names one. */
  readonly timeoutMs: number;
}

export interface PredictCall {
  readonly requestId: string;
  /** `id` of the prediction in the answer. */
  readonly predictionId: string;
  /** From the path; they win over `parameters`, which must not differ. */
  readonly model: string | undefined;
  readonly ref: string | undefined;
  readonly request: PredictRequest;
  /** What the transport allows; `parameters.cache: false` allows nothing. */
  readonly reuse: Reuse;
  /** The body as it came, for integers that a double cannot hold. */
  readonly text: string;
  /** By performance.now(): the deadline counts from here. */
  readonly startedAtMs: number;
  /** Aborts when nobody waits any more. */
  readonly signal: Cancellation;
  /** Told as soon as it is known, so that a failure can name it too. */
  readonly onResolved: (version: ModelVersion) => void;
  /** Told once the request is found valid: what goes wrong from there on does so in the attempt to answer it. */
  readonly onValid?: () => void;
}

export interface PredictAnswer {
  readonly version: ModelVersion;
  readonly prediction: Prediction;
  readonly cache: CacheOutcome;
  readonly batchWaitMs: number;
  /** From the leaving of the job to the start of its run. */
  readonly queueMs: number;
  readonly runMs: number;
}

/** Seconds in which a killed worker is usually replaced. */
const workerRetryAfterS = 1;

/**
 * The whole path of a prediction, without transport: HTTP translates and calls it, and so will every other
 * way in. Throws MillraceError for whatever the caller should be told.
 */
export class DataPlane {
  readonly #options: DataPlaneOptions;

  constructor(options: DataPlaneOptions) {
    this.#options = options;
  }

  /**
   * First of all, before a byte of the body is read; `model` as the path names it. `nowMs` by performance.now().
   * Throws `service_unavailable`.
   */
  admit(model: string | undefined, nowMs: number): Permit {
    return this.#options.admission.admit(model ?? '', nowMs);
  }

  async predict(_permit: Permit, call: PredictCall): Promise<PredictAnswer> {
    const { parameters } = call.request;
    const version = this.#resolve(call);
    call.onResolved(version);

    const outputs = parameters.outputs ?? null;
    if (outputs !== null) checkOutputs(version, outputs, 'parameters.outputs');
    const tensors = compilePacker(version)(inputsFor(version, call), 'inputs');

    call.onValid?.();
    const question: Question = {
      version,
      tensors,
      outputs,
      reuse: parameters.cache === false ? 'none' : call.reuse,
      deadlineMs: call.startedAtMs + this.#timeoutMs(call, version),
      signal: call.signal,
    };
    const answer = await this.#options.answers.answer(question, (deadlineMs, signal) =>
      this.#compute(call.requestId, question, deadlineMs, signal),
    );
    return render(version, call, answer);
  }

  /** By when `predict` will have answered, by performance.now(), if there is such a model. Never throws. */
  dueMs(call: PredictCall): number {
    let version: ModelVersion | undefined;
    try {
      version = this.#resolve(call);
    } catch {
      // An answer that was given before may be wanted again when its model is gone.
    }
    return call.startedAtMs + this.#timeoutMs(call, version);
  }

  #timeoutMs({ request: { parameters } }: PredictCall, version: ModelVersion | undefined): number {
    return parameters.timeout_ms ?? version?.manifest.timeout_ms ?? this.#options.timeoutMs;
  }

  /** Only what was not kept needs queue and workers: they may be gone while there are hits. */
  async #compute(
    requestId: string,
    { version, tensors, outputs }: Question,
    deadlineMs: number,
    signal: Cancellation,
  ): Promise<Computed> {
    const { coalescer, presence, clock } = this.#engine();
    if (!presence.isServed(poolOf(version.manifest))) throw noWorker();
    this.#options.memory.admit();
    const { result, firstRow, batchWaitMs } = await coalescer.submit({
      requestId,
      version,
      tensors,
      bytes: packedBytes(tensors),
      compatibilityKey: compileCompatibilityKey(version)(tensors, outputs),
      outputs,
      deadlineMs: clock.nowMs() + deadlineMs - performance.now(),
      signal,
    });
    const { queueMs, waitMs, runMs } = result.timings;
    return { tensors: result.tensors, row: firstRow, batchWaitMs, queueMs: queueMs + waitMs, runMs };
  }

  #resolve({ model, ref, request: { parameters } }: PredictCall): ModelVersion {
    const { resolver, defaultModel } = this.#options;
    return chosenVersion(resolver, { model, ref, parameters }, defaultModel);
  }

  #engine(): Engine {
    const engine = this.#options.engine();
    if (engine === undefined)
      throw new MillraceError('service_unavailable', 'The queue is out of reach', { retryAfterS: 1 });
    return engine;
  }
}

/** Parsed again, with exact integers, only for versions that can tell the difference. */
function inputsFor(version: ModelVersion, { request, text }: PredictCall): unknown {
  if (!takesWideIntegers(version)) return request.inputs;
  return (parseExactJson(text) as { readonly inputs: unknown }).inputs;
}

/** A string counts one byte a character: an estimate is enough for a bound on batches. */
function packedBytes(tensors: NamedTensors): number {
  let bytes = 0;
  for (const { data } of tensors.values())
    bytes += 'byteLength' in data ? data.byteLength : data.reduce((sum, text) => sum + text.length, 0);
  return bytes;
}

function noWorker(): MillraceError {
  return new MillraceError('service_unavailable', 'No worker is there to serve the model', {
    retryAfterS: workerRetryAfterS,
  });
}

function render(version: ModelVersion, call: PredictCall, answer: SharedAnswer): PredictAnswer {
  const { parameters } = call.request;
  const prediction = compileRenderer(version)(answer.tensors, answer.row, {
    id: call.predictionId,
    returnProbability: parameters.return_probability === true,
    topK: parameters.top_k ?? null,
    outputs: parameters.outputs ?? null,
  });
  const { cache, batchWaitMs, queueMs, runMs } = answer;
  return { version, prediction, cache, batchWaitMs, queueMs, runMs };
}
