import type { BatchObject } from '../../../src/api/batch/batch-view.ts';
import type { Stack } from '../../support/stack.ts';
import { lasting } from './schedule.ts';

/** One answer, read to its end. */
export interface BatchAnswer {
  readonly status: number;
  readonly text: string;
}

export interface Submission {
  readonly model: string;
  readonly lines: readonly string[];
  /** Sent as Idempotency-Key. */
  readonly key?: string;
  /** The body comes in so many pieces with pauses between them: 1 by default. */
  readonly pieces?: number;
}

interface Sent extends RequestInit {
  readonly headers?: Readonly<Record<string, string>>;
  readonly duplex?: 'half';
}

/** Not yet: out of reach, still at work, or (a 408) an upload that a machine with two busy cores took too slowly. */
const passing: ReadonlySet<number> = new Set([408, 409, 503]);
const pauseMs = 50;
const pieceMs = 20;
const patienceMsMax = 64_000;

/**
 * A caller of batches who does not give up: whatever passes (no answer, no whole answer, 503, a key at work) is asked
 * again, of one API process after the other.
 */
export class BatchClient {
  readonly #stack: Pick<Stack, 'apis' | 'key'>;
  readonly #signal: AbortSignal;
  readonly #patienceMs: number;
  #turn = 0;

  /**
   * Past `giveUpMs` a call rejects. With `patienceMs`, what has no answer by then is asked again, and waited for twice as
   * long: on a slow machine, too, one gets through.
   */
  constructor(stack: Pick<Stack, 'apis' | 'key'>, giveUpMs: number, patienceMs = giveUpMs) {
    this.#stack = stack;
    this.#patienceMs = patienceMs;
    this.#signal = AbortSignal.timeout(giveUpMs);
  }

  /** Until its 202 has been read. */
  async submit({ model, lines, key, pieces = 1 }: Submission): Promise<BatchObject> {
    const { text } = await this.#insist(202, `/api/v1/models/${model}/batch`, () => ({
      method: 'POST',
      headers: {
        'content-type': 'application/x-ndjson',
        ...(key === undefined ? {} : { 'idempotency-key': key }),
      },
      ...(pieces === 1 ? { body: lines.join('') } : { body: inPieces(lines, pieces), duplex: 'half' }),
    }));
    return JSON.parse(text) as BatchObject;
  }

  async batch(id: string): Promise<BatchObject> {
    return JSON.parse((await this.#insist(200, `/api/v1/batch/${id}`)).text) as BatchObject;
  }

  /** Its lines, as far as there are any. */
  async results(id: string): Promise<readonly string[]> {
    const accept = { headers: { accept: 'application/x-ndjson' } };
    const { text } = await this.#insist(200, `/api/v1/batch/${id}/results`, () => accept);
    return text.split('\n').slice(0, -1);
  }

  /** All of the caller's, the newest first. */
  async list(): Promise<readonly BatchObject[]> {
    const batches: BatchObject[] = [];
    for (let path: string | null = '/api/v1/batch?limit=100'; path !== null; ) {
      // One page after the other.
      // oxlint-disable-next-line no-await-in-loop
      const { text } = await this.#insist(200, path);
      const page = JSON.parse(text) as {
        readonly batches: readonly BatchObject[];
        readonly links: { readonly next: string | null };
      };
      batches.push(...page.batches);
      path = page.links.next;
    }
    return batches;
  }

  async cancel(id: string): Promise<BatchAnswer> {
    return this.#insist([200, 202], `/api/v1/batch/${id}`, () => ({ method: 'DELETE' }));
  }

  /** 409 where it has ended. */
  async setPaused(id: string, paused: boolean): Promise<BatchAnswer> {
    const path = `/api/v1/batch/${id}/${paused ? 'pause' : 'resume'}`;
    return this.#insist([200, 409], path, () => ({ method: 'POST' }));
  }

  async ended(id: string): Promise<BatchObject> {
    for (;;) {
      // oxlint-disable-next-line no-await-in-loop
      const batch = await this.batch(id);
      if (batch.finished_at !== null) return batch;
      // oxlint-disable-next-line no-await-in-loop
      await lasting(pauseMs);
    }
  }

  /** Asks until the answer is one of those wanted. Throws for one that is neither wanted nor passes. */
  async #insist(
    wanted: number | readonly number[],
    path: string,
    init: () => Sent = () => ({}),
  ): Promise<BatchAnswer> {
    const statuses = [wanted].flat();
    let last = 'no answer';
    for (let waitMs = this.#patienceMs; !this.#signal.aborted; ) {
      const dueMs = performance.now() + waitMs;
      // oxlint-disable-next-line no-await-in-loop
      const answer = await this.#ask(path, init(), waitMs);
      if (performance.now() >= dueMs) waitMs = Math.min(2 * waitMs, patienceMsMax);
      if (answer !== undefined && statuses.includes(answer.status)) return answer;
      if (answer !== undefined && !passing.has(answer.status))
        throw new Error(`${path} was answered ${answer.status} ${answer.text}`);
      last = answer === undefined ? last : `${answer.status} ${answer.text}`;
      // oxlint-disable-next-line no-await-in-loop
      await lasting(pauseMs);
    }
    throw new Error(`${path} was not answered; at last: ${last}`);
  }

  /** Undefined when there was no whole answer. */
  async #ask(path: string, init: Sent, waitMs: number): Promise<BatchAnswer | undefined> {
    const { apis, key } = this.#stack;
    const { url } = apis[this.#turn++ % apis.length]!;
    try {
      const headers = { ...init.headers, 'x-api-key': key };
      const signal = AbortSignal.any([this.#signal, AbortSignal.timeout(waitMs)]);
      const response = await fetch(url + path, { ...init, headers, signal });
      return { status: response.status, text: await response.text() };
    } catch {
      return undefined;
    }
  }
}

function inPieces(lines: readonly string[], pieces: number): ReadableStream<Uint8Array> {
  const encoder = new TextEncoder();
  const size = Math.ceil(lines.length / pieces);
  let from = 0;
  return new ReadableStream({
    pull: async (controller) => {
      if (from >= lines.length) return controller.close();
      if (from > 0) await lasting(pieceMs);
      controller.enqueue(encoder.encode(lines.slice(from, from + size).join('')));
      from += size;
    },
  });
}
