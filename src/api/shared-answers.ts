import { channels } from '../channels.ts';
import type { CacheEvent, CacheOutcome } from '../channels.ts';
import { sliceRows } from '../tensors/batch.ts';
import type { Cancellation } from '../queues/batch-former.ts';
import type { ModelVersion } from '../registry/model-version.ts';
import type { NamedTensors } from '../tensors/tensor.ts';
import { compileCanonicalKey } from './canonical-key.ts';
import type { ResponseCache } from './response-cache.ts';
import type { Caller, SingleFlight, Waiting } from './single-flight.ts';

/**
 * What of other requests may serve this one: `any` a kept result or a run on its way; `refresh` neither, but what
 * comes out is kept for others; `none` neither, and nothing is kept.
 */
export type Reuse = 'any' | 'refresh' | 'none';

export interface Question extends Caller {
  readonly version: ModelVersion;
  /** Packed. */
  readonly tensors: NamedTensors;
  readonly outputs: readonly string[] | null;
  readonly reuse: Reuse;
}

/** The rows of result tensors that answer one question, and what it took to compute them. */
export interface Computed {
  readonly tensors: NamedTensors;
  readonly row: number;
  readonly batchWaitMs: number;
  readonly queueMs: number;
  readonly runMs: number;
}

export interface SharedAnswer extends Computed {
  readonly cache: CacheOutcome;
}

/** The way to the workers. `deadlineMs` by performance.now(). */
export type Compute = (deadlineMs: number, signal: Cancellation) => Promise<Computed>;

export interface SharedAnswersOptions {
  readonly cache: Pick<ResponseCache, 'lookup' | 'insert'>;
  readonly flights: SingleFlight<SharedAnswer>;
  /** Where the manifest is silent. 0: nothing is shared. */
  readonly ttlMs: number;
}

/**
 * Answers a question from what other requests have computed or are computing, where it may, and computes the answer
 * otherwise. Requests are equal by what they compute, not by how it is rendered: each renders for itself.
 */
export class SharedAnswers {
  readonly #options: SharedAnswersOptions;

  constructor(options: SharedAnswersOptions) {
    this.#options = options;
  }

  /** Rejects as `compute` does, or with `timeout`; never because of the cache. */
  answer(question: Question, compute: Compute): Promise<SharedAnswer> {
    const { version, tensors, outputs, reuse } = question;
    const ttlMs = this.#ttlMsOf(version);
    if (reuse === 'none' || ttlMs === 0) return computeAlone(question, compute);
    const key = compileCanonicalKey(version)(tensors, outputs);
    if (reuse === 'refresh') return this.#refresh(key, ttlMs, question, compute);
    const joinedAtMs = performance.now();
    let own = false;
    const answer = this.#options.flights.join(key, question, (waiting) => {
      own = true;
      return this.#lookUpOrCompute(key, ttlMs, waiting, compute);
    });
    return own ? answer : answer.then((shared) => seenFor(performance.now() - joinedAtMs, shared));
  }

  async #lookUpOrCompute(
    key: string,
    ttlMs: number,
    waiting: Waiting,
    compute: Compute,
  ): Promise<SharedAnswer> {
    const { cache } = this.#options;
    const found = await cache.lookup(key);
    if (found.kind === 'hit') return keptAnswer(found.tensors);
    const computed = await compute(waiting.fixDeadlineMs(), waiting);
    return found.kind === 'miss' ? this.#keep(key, ttlMs, computed) : { ...computed, cache: 'bypass' };
  }

  async #refresh(key: string, ttlMs: number, question: Question, compute: Compute): Promise<SharedAnswer> {
    publish('miss');
    return this.#keep(key, ttlMs, await compute(question.deadlineMs, question.signal));
  }

  #keep(key: string, ttlMs: number, computed: Computed): SharedAnswer {
    this.#options.cache.insert(key, ttlMs, sliceRows(computed.tensors, computed.row, 1));
    return { ...computed, cache: 'miss' };
  }

  #ttlMsOf({ manifest }: ModelVersion): number {
    const seconds = manifest.cache?.ttl_s;
    return seconds === undefined ? this.#options.ttlMs : Math.ceil(seconds * 1000);
  }
}

async function computeAlone({ deadlineMs, signal }: Question, compute: Compute): Promise<SharedAnswer> {
  publish('bypass');
  return { ...(await compute(deadlineMs, signal)), cache: 'bypass' };
}

function keptAnswer(tensors: NamedTensors): SharedAnswer {
  return { tensors, row: 0, batchWaitMs: 0, queueMs: 0, runMs: 0, cache: 'hit' };
}

/** Who joined a run on its way has seen only the end of it. */
function seenFor(waitedMs: number, answer: SharedAnswer): SharedAnswer {
  const runMs = Math.min(answer.runMs, waitedMs);
  const queueMs = Math.min(answer.queueMs, waitedMs - runMs);
  const batchWaitMs = Math.min(answer.batchWaitMs, waitedMs - runMs - queueMs);
  return { ...answer, batchWaitMs, queueMs, runMs };
}

/** For requests that do not ask the cache; of the others it tells itself. */
function publish(what: 'miss' | 'bypass'): void {
  if (channels.cache.hasSubscribers) channels.cache.publish({ what, count: 1 } satisfies CacheEvent);
}
