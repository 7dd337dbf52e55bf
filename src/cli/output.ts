import { createWriteStream } from 'node:fs';
import { open } from 'node:fs/promises';
import type { Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { CommandError, UsageError } from './failures.ts';
import { exitCodes } from './exit-code.ts';

/** Where the data of a command goes: stdout, or a file. */
export interface Output {
  readonly isStdout: boolean;
  /** Writes no faster than it is taken, to the end of the source. Throws CommandError where a file cannot be written. */
  write(source: AsyncIterable<Uint8Array>): Promise<void>;
}

/** `-` and nothing are stdout. A file is made at once, so that one that cannot be is known before the work: UsageError. */
export async function openOutput(path: string | undefined, stdout: NodeJS.WritableStream): Promise<Output> {
  if (path === undefined || path === '-')
    return {
      isStdout: true,
      write: (source) => pipeline(source, stdout as Writable, { end: false }),
    };
  await touch(path);
  return {
    isStdout: false,
    async write(source) {
      const file = createWriteStream(path);
      let writing: Error | undefined;
      file.once('error', (error) => (writing ??= error));
      try {
        await pipeline(source, file);
      } catch (error) {
        if (writing === undefined || error !== writing) throw error;
        throw new CommandError(exitCodes.failed, `${path} could not be written (${writing.message})`);
      }
    },
  };
}

async function touch(path: string): Promise<void> {
  try {
    await (await open(path, 'w')).close();
  } catch (error) {
    throw new UsageError(`${path} cannot be written (${(error as NodeJS.ErrnoException).code ?? 'unknown'})`);
  }
}

export function printLine(stdout: NodeJS.WritableStream, line: string): void {
  stdout.write(`${line}\n`);
}

export function printJson(stdout: NodeJS.WritableStream, value: unknown): void {
  stdout.write(`${JSON.stringify(value, null, 2)}\n`);
}
