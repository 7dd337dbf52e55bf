import { setTimeout as delay } from 'node:timers/promises';
import { outputOf } from './client.ts';
import type { Client } from './client.ts';

/** What became of a steady stream of requests to `nonce`, each with a number of its own. */
export interface LoadReport {
  /** Answers of status 200 with another request's number. */
  readonly wrong: readonly number[];
  /** Requests without an answer, by what was wrong with the connection. */
  readonly broken: readonly string[];
  readonly statuses: Readonly<Record<number, number>>;
}

/** Callers that ask again as soon as they are answered, until they are told to stop. */
export interface Load {
  /** Resolves once so many further answers have come, of whatever status. */
  answered(count: number): Promise<void>;
  /** Lets what is on its way come back. */
  stop(): Promise<LoadReport>;
}

export interface LoadOptions {
  readonly client: Client;
  readonly callers: number;
  readonly timeoutMs: number;
}

/** A caller that was refused does not come back at once: without this a stack that refuses does nothing else. */
const refusedPauseMs = 20;

export function startLoad({ client, callers, timeoutMs }: LoadOptions): Load {
  const wrong: number[] = [];
  const broken: string[] = [];
  const statuses: Record<number, number> = {};
  const watchers = new Set<() => void>();
  let stopping = false;
  let answers = 0;
  let next = 0;

  /** Resolves with the status; undefined where there was no answer. */
  async function ask(): Promise<number | undefined> {
    const x = next++;
    let status: number | undefined;
    try {
      const answer = await client.predictWith('nonce', [x], { timeout_ms: timeoutMs });
      status = answer.status;
      statuses[status] = (statuses[status] ?? 0) + 1;
      if (status === 200 && (outputOf(answer) as number[])[0] !== 3 * x + 1) wrong.push(x);
    } catch (error) {
      broken.push(String(error));
    }
    answers += 1;
    for (const watcher of watchers) watcher();
    return status;
  }

  async function caller(): Promise<void> {
    while (!stopping) if ((await ask()) !== 200) await delay(refusedPauseMs);
  }

  const ended = Promise.all(Array.from({ length: callers }, caller));
  return {
    answered: (count) =>
      new Promise((resolve) => {
        const enough = answers + count;
        const watcher = () => {
          if (answers < enough) return;
          watchers.delete(watcher);
          resolve();
        };
        watchers.add(watcher);
      }),
    stop: async () => {
      stopping = true;
      await ended;
      return { wrong, broken, statuses };
    },
  };
}
