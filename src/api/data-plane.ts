import { MillraceError } from '../errors.ts';
import { compileCompatibilityKey } from '../processing/batch-key.ts';
import { compilePacker } from '../processing/pack-instance.ts';
import { perVersion } from '../processing/per-version.ts';
import { compileRenderer } from '../processing/render.ts';
import type { Prediction } from '../processing/render.ts';
import { checkOutputs } from '../processing/result-outputs.ts';
import type { CoalescedAnswer, Coalescer } from '../queues/coalescer.ts';
import type { SharedClock } from '../queues/shared-clock.ts';
import type { PresenceObserver } from '../queues/worker-presence.ts';
import { poolOf } from '../registry/manifest.ts';
import type { ModelVersion } from '../registry/model-version.ts';
import type { Resolver } from '../registry/resolver.ts';
import { parseExactJson } from '../tensors/exact-json.ts';
import type { NamedTensors } from '../tensors/tensor.ts';
import type { Admission, Permit } from './admission.ts';
import type { PredictRequest } from './predict-request.ts';

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
  /** The body as it came, for integers that a double cannot hold. */
  readonly text: string;
  /** By performance.now(): the deadline counts from here. */
  readonly startedAtMs: number;
  /** Aborts when nobody waits any more. */
  readonly signal: AbortSignal;
  /** Told as soon as it is known, so that a failure can name it too. */
  readonly onResolved: (version: ModelVersion) => void;
}

export interface PredictAnswer {
  readonly version: ModelVersion;
  readonly prediction: Prediction;
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

  /** First of all, before a byte of the body is read. Throws `service_unavailable`. */
  admit(): Permit {
    return this.#options.admission.admit();
  }

  async predict(_permit: Permit, call: PredictCall): Promise<PredictAnswer> {
    const { parameters } = call.request;
    const version = this.#resolve(call);
    call.onResolved(version);

    const outputs = parameters.outputs ?? null;
    if (outputs !== null) checkOutputs(version, outputs, 'parameters.outputs');
    const tensors = compilePacker(version)(inputsFor(version, call), 'inputs');

    // Here an answer that is kept already ends the path (unless `parameters.cache` is false), and here equal
    // requests in flight join: after packing, since equal tensors are what makes requests equal.

    const { coalescer, presence, clock } = this.#engine();
    const pool = poolOf(version.manifest);
    if (presence.workers(pool).length === 0) throw noWorker();
    const timeoutMs = parameters.timeout_ms ?? version.manifest.timeout_ms ?? this.#options.timeoutMs;
    const answer = await coalescer.submit({
      requestId: call.requestId,
      version,
      tensors,
      bytes: packedBytes(tensors),
      compatibilityKey: compileCompatibilityKey(version)(tensors, outputs),
      outputs,
      deadlineMs: clock.nowMs() + timeoutMs - (performance.now() - call.startedAtMs),
      signal: call.signal,
    });
    return render(version, call, answer);
  }

  #resolve({ model, ref, request: { parameters } }: PredictCall): ModelVersion {
    agree('model', model, parameters.model);
    agree('version', ref, parameters.version);
    return this.#options.resolver.resolve(
      model ?? parameters.model ?? this.#options.defaultModel,
      ref ?? parameters.version,
    );
  }

  #engine(): Engine {
    const engine = this.#options.engine();
    if (engine === undefined)
      throw new MillraceError('service_unavailable', 'The queue is out of reach', { retryAfterS: 1 });
    return engine;
  }
}

/** A parameter may repeat what the path says, not contradict it. */
function agree(name: 'model' | 'version', inPath: string | undefined, given: string | undefined): void {
  if (inPath === undefined || given === undefined || inPath === given) return;
  throw new MillraceError('invalid_input', `The path and the parameters name different ${name}s`, {
    details: [
      {
        path: `parameters.${name}`,
        expected: `${JSON.stringify(inPath)}, as in the path, or nothing`,
        found: JSON.stringify(given),
      },
    ],
  });
}

const takesWideIntegers = perVersion((version: ModelVersion) =>
  version.signature.inputs.some(({ datatype }) => datatype === 'INT64' || datatype === 'UINT64'),
);

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

function render(version: ModelVersion, call: PredictCall, answer: CoalescedAnswer): PredictAnswer {
  const { parameters } = call.request;
  const { tensors, timings } = answer.result;
  const prediction = compileRenderer(version)(tensors, answer.firstRow, {
    id: call.predictionId,
    returnProbability: parameters.return_probability === true,
    topK: parameters.top_k ?? null,
    outputs: parameters.outputs ?? null,
  });
  return {
    version,
    prediction,
    batchWaitMs: answer.batchWaitMs,
    queueMs: timings.queueMs + timings.waitMs,
    runMs: timings.runMs,
  };
}
