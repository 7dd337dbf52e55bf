import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { startChild } from './child.ts';
import type { Child, ChildDeath } from './child.ts';
import { tailOfLog } from './log-file.ts';
import type { Output } from './output.ts';
import { UserError } from './user-error.ts';

export interface CrewOptions {
  /** Absolute. Logs go to `logs/` in it. */
  readonly home: string;
  readonly output: Output;
  /** Aborts when the launcher is stopping: deaths are no news then. */
  readonly stopping: AbortSignal;
}

export interface CrewMember {
  readonly name: string;
  readonly command: string;
  readonly args: readonly string[];
  readonly env: NodeJS.ProcessEnv;
  readonly stopTimeoutMs: number;
  readonly beforeRestart?: () => Promise<void>;
}

/**
 * The children of the launcher, starting → up. While they start, the death of one fails the whole start; once
 * they are up it is told in a line and the child is started again.
 */
export interface Crew {
  start(member: CrewMember): Child;
  /** Resolves with `work`, or rejects as soon as a child dies: then its log says why. */
  whileStarting<T>(work: Promise<T>): Promise<T>;
  up(): void;
  killAll(): void;
}

export function createCrew({ home, output, stopping }: CrewOptions): Crew {
  const children: Child[] = [];
  const failure = Promise.withResolvers<never>();
  // Whoever waits gets it from `whileStarting`; nobody may be waiting when it comes.
  failure.promise.catch(() => undefined);
  let isUp = false;
  mkdirSync(join(home, 'logs'), { recursive: true, mode: 0o700 });

  function onDeath(death: ChildDeath): 'restart' | 'leave' {
    if (stopping.aborted) return 'leave';
    if (!isUp) {
      for (const line of tailOfLog(death.logFile)) output.line(`    ${line}`);
      const { name, reason, logFile } = death;
      failure.reject(new UserError(`The ${name} did not start (${reason}); its log is ${logFile}.`));
      return 'leave';
    }
    const delay = `${(death.restartDelayMs / 1000).toFixed(2)} s`;
    output.cross(
      `${death.name} ended (${death.reason}): starting it again in ${delay}, see ${death.logFile}`,
    );
    return 'restart';
  }

  return {
    start(member) {
      const logFile = join(home, 'logs', `${member.name}.log`);
      const child = startChild({ ...member, cwd: process.cwd(), logFile, onDeath });
      children.push(child);
      return child;
    },
    whileStarting: (work) => Promise.race([work, failure.promise]),
    up: () => {
      isUp = true;
    },
    killAll: () => {
      for (const child of children) child.kill();
    },
  };
}
