import { hash, randomUUID } from 'node:crypto';
import { channels } from '../../channels.ts';
import type { FaultEvent, IdempotencyEvent } from '../../channels.ts';
import { MillraceError, toMillraceError } from '../../errors.ts';
import type { Answer, StreamedAnswer } from '../http/answer.ts';
import { errorAnswer, statusByCode } from '../http/error-handler.ts';
import type { ClaimOutcome, Claims, KeptAnswer } from './claims.ts';
import type { Doorbells } from './doorbells.ts';
import type { Fingerprint } from './fingerprint.ts';
import { Leases } from './leases.ts';
import { Pause } from './pause.ts';

export interface IdempotencyOptions {
  readonly claims: Claims;
  readonly doorbells: Pick<Doorbells, 'listen'>;
  readonly leaseMs: number;
  /** Of a body. A larger answer is sent, but not kept. */
  readonly answerBytesMax: number;
}

export interface KeyedRequest {
  readonly key: string;
  readonly principal: string;
  readonly requestId: string;
  /** At its end, or, where the body is streamed, brought there by `run` or `readOn`. */
  readonly fingerprint: Fingerprint;
  /** By performance.now(): for so long it waits for an equal request that is at work. */
  readonly dueMs: number;
  /** Aborts when nobody waits for the answer any more. */
  readonly signal: AbortSignal;
  /** Id of the batch that it would make. */
  readonly batchId: string;
  /** Computes the answer. It must go on when the caller leaves: who asks again shall find what came out. */
  run(turn: Turn): Promise<Answer | StreamedAnswer>;
  /** Reads the rest of a streamed body into the fingerprint, without any effect. */
  readOn?(): Promise<void>;
  /** The answer to a batch that was made, where the first one was too large to be kept. */
  recreate?(batchId: string): Promise<Answer | StreamedAnswer>;
}

/** A request's right to compute the answer to its key. */
export interface Turn {
  /** That of the first request with the key. */
  readonly batchId: string;
  /** Whoever had the key before did not come to an end: the batch may be there. */
  readonly takenOver: boolean;
  /** Whoever takes over is to find the batch under another id. Throws `service_unavailable` when somebody has. */
  renameBatch(batchId: string): Promise<void>;
  /**
   * To be called when a streamed body has been read into the fingerprint, before its effect is final: whoever comes next
   * looks for the batch first, whatever fails from there on. Throws `conflict` when the one before had read another body.
   */
  bodyRead(): Promise<void>;
  /** To be called once the request has been found valid: an error that comes later is an answer like any other. */
  begin(): void;
}

/** How often somebody who waits looks again: a message can be lost. One script call of some 20 µs. */
const lookAgainMs = 1000;
const retryAfterS = 1;

/** Headers that belong to the answer; others (timings, limits) belong to the request that was computed. */
const keptHeaders = new Set([
  'content-type',
  'cache-control',
  'location',
  'preference-applied',
  'retry-after',
  'vary',
  'x-cache',
  'x-model-version',
]);

/** Statuses that say "try again": they are no answer. */
const passing: ReadonlySet<number> = new Set([408, 409, 429]);

/**
 * Requests of one principal with one `Idempotency-Key` are one computation and one answer, whichever of them comes first
 * and to whichever process. Who computes holds a lease; when it ends without an answer, the next one takes over. What
 * was computed without a valid lease is thrown away: there is one answer.
 */
export class Idempotency {
  readonly #options: IdempotencyOptions;
  readonly #leases: Leases;

  constructor(options: IdempotencyOptions) {
    this.#options = options;
    this.#leases = new Leases(options.claims, options.leaseMs);
  }

  /**
   * Throws what `run` throws; `conflict` for a key of another request, and for one whose first request is still at
   * work when this one is due; `service_unavailable` while Redis is out of reach: without it nobody knows what was
   * computed already.
   */
  async around(request: KeyedRequest): Promise<Answer | StreamedAnswer> {
    const { claims, doorbells } = this.#options;
    const { fingerprint, signal, dueMs } = request;
    const claim: HeldClaim = { entry: entryOf(request), token: randomUUID() };
    const pause = new Pause(signal);
    const unlisten = doorbells.listen(claim.entry, pause.end);
    let own: Computed | undefined;
    try {
      while (!signal.aborted || own !== undefined) {
        // One after the other on purpose: each look depends on what happened since the last.
        // oxlint-disable-next-line no-await-in-loop
        const outcome = await claims.claim({
          ...claim,
          target: fingerprint.target,
          bodyDigest: fingerprint.body,
          batchId: request.batchId,
        });
        if (outcome.kind === 'differs') throw usedOtherwise(outcome.what);
        // oxlint-disable-next-line no-await-in-loop
        if (outcome.kind === 'answered') return await replayed(request, outcome);
        if (outcome.kind === 'claimed') {
          // oxlint-disable-next-line no-await-in-loop
          own ??= await this.#compute(request, claim, outcome);
          // oxlint-disable-next-line no-await-in-loop
          if (await this.#complete(request, claim, own)) return settle(own);
        } else {
          const leftMs = dueMs - performance.now();
          if (leftMs <= 0) throw atWork();
          // oxlint-disable-next-line no-await-in-loop
          await pause.for(Math.min(leftMs, outcome.leaseLeftMs + 1, lookAgainMs));
        }
      }
      throw atWork();
    } finally {
      unlisten();
    }
  }

  close(): void {
    this.#leases.close();
  }

  async #compute(request: KeyedRequest, claim: HeldClaim, claimed: Claimed): Promise<Computed> {
    publish(claimed.takenOver ? 'taken_over' : 'computed');
    let begun = false;
    let mayBeThere = claimed.takenOver;
    this.#leases.hold(claim.entry, claim.token);
    try {
      const answer = await request.run({
        batchId: claimed.batchId,
        takenOver: claimed.takenOver,
        renameBatch: (batchId) => this.#note(claim, 'batch', batchId),
        bodyRead: async () => {
          const { body = '' } = request.fingerprint.end();
          mayBeThere = true;
          if (claimed.bodyDigest === undefined) await this.#note(claim, 'digest', body);
          else if (claimed.bodyDigest !== body) throw usedOtherwise('body');
        },
        begin: () => (begun = true),
      });
      return { answer, error: undefined };
    } catch (thrown) {
      const error = toMillraceError(thrown);
      const status = statusByCode[error.code];
      const isRefusal = status < 500 && !passing.has(status);
      if (begun && isRefusal) return { answer: errorAnswer(error, request.requestId), error };
      // A request that was refused has made nothing.
      await this.#release(claim, mayBeThere && !isRefusal);
      throw error;
    }
  }

  async #complete({ fingerprint }: KeyedRequest, claim: HeldClaim, { answer }: Computed): Promise<boolean> {
    const { claims, answerBytesMax } = this.#options;
    const bodyDigest = fingerprint.end().body ?? '';
    try {
      return await claims.complete(claim.entry, claim.token, bodyDigest, toKept(answer, answerBytesMax));
    } finally {
      this.#leases.drop(claim.entry, claim.token);
    }
  }

  async #note({ entry, token }: HeldClaim, what: 'batch' | 'digest', value: string): Promise<void> {
    if (await this.#options.claims.note(entry, token, what, value)) return;
    throw new MillraceError('service_unavailable', 'Another request has taken over', { retryAfterS });
  }

  /** Where it fails the lease runs out, a little later. */
  async #release({ entry, token }: HeldClaim, keep: boolean): Promise<void> {
    this.#leases.drop(entry, token);
    try {
      await this.#options.claims.release(entry, token, keep);
    } catch (error) {
      const event: FaultEvent = { component: 'idempotency', message: 'A claim was not released', error };
      channels.fault.publish(event);
    }
  }
}

interface HeldClaim {
  readonly entry: string;
  readonly token: string;
}

type Claimed = Extract<ClaimOutcome, { readonly kind: 'claimed' }>;
type Answered = Extract<ClaimOutcome, { readonly kind: 'answered' }>;

/** `error`: what the answer was made of, for whoever computed it. */
interface Computed {
  readonly answer: Answer | StreamedAnswer;
  readonly error: MillraceError | undefined;
}

/** One scope for each principal. Hashed, so that a key of any length and content makes a name. */
function entryOf({ principal, key }: KeyedRequest): string {
  return hash('sha256', `${principal} ${key}`, 'base64url');
}

function settle({ answer, error }: Computed): Answer | StreamedAnswer {
  if (error !== undefined) throw error;
  return answer;
}

async function replayed(
  request: KeyedRequest,
  { answer, bodyDigest, batchId }: Answered,
): Promise<Answer | StreamedAnswer> {
  const { fingerprint } = request;
  if (fingerprint.body === undefined) await request.readOn?.();
  if (fingerprint.end().body !== bodyDigest) throw usedOtherwise('body');
  const { status, headers, body } = answer;
  publish('replayed');
  if (body !== null) return { status, headers: [...headers, ...replayedHeader], body };
  const recreated = await request.recreate?.(batchId);
  if (recreated === undefined) throw tooLarge();
  return { ...recreated, headers: [...recreated.headers, ...replayedHeader] };
}

const replayedHeader = ['Idempotency-Replayed', 'true'] as const;

function toKept(answer: Answer | StreamedAnswer, bytesMax: number): KeptAnswer {
  const { status, headers } = answer;
  const kept: string[] = [];
  for (let i = 0; i < headers.length; i += 2)
    if (keptHeaders.has(headers[i]!.toLowerCase())) kept.push(headers[i]!, headers[i + 1]!);
  if ('pieces' in answer) return { status, headers: kept, body: null };
  const text = typeof answer.body === 'string' ? answer.body : Buffer.from(answer.body).toString();
  return { status, headers: kept, body: Buffer.byteLength(text) <= bytesMax ? text : null };
}

function usedOtherwise(what: 'target' | 'body'): MillraceError {
  publish('refused');
  return new MillraceError('conflict', 'The idempotency key was used for another request', {
    details: [
      {
        path: 'header Idempotency-Key',
        expected: 'a new key, or the request that this one was first used for',
        found: what === 'body' ? 'another body' : 'another method, path or query',
      },
    ],
  });
}

function atWork(): MillraceError {
  publish('refused');
  return new MillraceError('conflict', 'A request with this idempotency key is still at work', {
    details: 'Send it again with the same key: the answer will be that of the first request',
    retryAfterS,
  });
}

function tooLarge(): MillraceError {
  return new MillraceError('conflict', 'The answer was sent before and is too large to be kept', {
    details: 'The setting idempotency.answer_bytes_max says how large; with a new key it is computed again',
  });
}

function publish(outcome: IdempotencyEvent['outcome']): void {
  channels.idempotency.publish({ outcome } satisfies IdempotencyEvent);
}
