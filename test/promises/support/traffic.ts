import { setTimeout as delay } from 'node:timers/promises';
import { Client, outputOf } from '../../integration/client.ts';
import type { Answer } from '../../integration/client.ts';
import type { Stack } from '../../support/stack.ts';

/** What became of every request of a stream whose right answers are known. */
export interface Account {
  readonly sent: number;
  /** Answers by status: their sum is `sent`, less the broken. */
  readonly statuses: Readonly<Record<number, number>>;
  /** 200 with a number that belongs to another request. */
  readonly wrong: readonly string[];
  /** No answer, by what was wrong with the connection. */
  readonly broken: readonly string[];
  /** Answered, but later than the deadline and its grace. */
  readonly late: readonly string[];
}

export interface Traffic {
  /** Resolves once so many further requests were answered with 200. */
  served(count: number): Promise<void>;
  /** Lets what is on its way come back. */
  stop(): Promise<Account>;
}

export interface TrafficOptions {
  readonly stack: Pick<Stack, 'apis' | 'key'>;
  /** Each asks again as soon as it is answered; they take turns over the API processes. */
  readonly callers: number;
  /** Deadline of every request. */
  readonly timeoutMs: number;
}

/**
 * An answer that is due at its deadline has to get through a machine with two busy cores, and a timer of the
 * API's may be as late as the garbage collection of three processes at once.
 */
const graceMs = 1500;
/** Of the process: what an earlier test asked for may be in the cache. */
let asked = 0;
/** A caller that was refused does not come back at once: otherwise a stack that refuses does nothing else. */
const refusedPauseMs = 20;

/**
 * Callers of `nonce` and `sum-rows` (test/fixtures), who must be loaded: every request has a number of its own, so
 * that an answer which belongs to another one is seen.
 */
export function startTraffic({ stack, callers, timeoutMs }: TrafficOptions): Traffic {
  const clients = stack.apis.map(({ url }) => new Client({ url, key: stack.key }));
  const statuses: Record<number, number> = {};
  const wrong: string[] = [];
  const broken: string[] = [];
  const late: string[] = [];
  const watchers = new Set<() => void>();
  let stopping = false;
  let sent = 0;
  let served = 0;

  /** Resolves with whether it was served. */
  async function ask(client: Client): Promise<boolean> {
    const question = questionOf(asked++);
    sent += 1;
    const startedAtMs = performance.now();
    let answer: Answer;
    try {
      answer = await client.predictWith(question.model, question.inputs, { timeout_ms: timeoutMs });
    } catch (error) {
      broken.push(String(error));
      return false;
    }
    const tookMs = Math.round(performance.now() - startedAtMs);
    if (tookMs > timeoutMs + graceMs) late.push(`${answer.status} after ${tookMs} ms`);
    statuses[answer.status] = (statuses[answer.status] ?? 0) + 1;
    if (answer.status !== 200) return false;
    const output = JSON.stringify(outputOf(answer));
    if (output !== question.output) wrong.push(`${output}, not ${question.output}`);
    served += 1;
    for (const watcher of watchers) watcher();
    return true;
  }

  async function caller(client: Client): Promise<void> {
    while (!stopping) if (!(await ask(client))) await delay(refusedPauseMs);
  }

  const ended = Promise.all(
    Array.from({ length: callers }, (_, index) => caller(clients[index % clients.length]!)),
  );
  return {
    served: (count) =>
      new Promise((resolve) => {
        const enough = served + count;
        const watcher = () => {
          if (served < enough) return;
          watchers.delete(watcher);
          resolve();
        };
        watchers.add(watcher);
      }),
    stop: async () => {
      stopping = true;
      await ended;
      for (const client of clients) client.close();
      return { sent, statuses, wrong, broken, late };
    },
  };
}

/** Whole numbers below 100 are exact in `sum-rows`, any number is in `nonce`. */
function questionOf(x: number): {
  readonly model: string;
  readonly inputs: number[];
  readonly output: string;
} {
  if (x % 2 === 0) return { model: 'nonce', inputs: [x], output: JSON.stringify([3 * x + 1]) };
  const digits = [x, x / 10, x / 100, x / 1000, x / 10_000].map((digit) => Math.floor(digit) % 10);
  return { model: 'sum-rows', inputs: digits, output: JSON.stringify(x % 100_000) };
}
