import { createWriteStream } from 'node:fs';
import { open } from 'node:fs/promises';
import type { Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { CommandError, UsageError } from './failures.ts';
import { exitCodes } from './exit-code.ts';
import { isGzipName } from './rows-source.ts';

/** Where the data of a command goes: stdout, or a file. */
export interface Output {
  readonly isStdout: boolean;
  /** Writes no faster than it is taken, to the end of the source. Throws CommandError where a file cannot be written. */
  write(source: AsyncIterable<Uint8Array>): Promise<void>;
}

/**
 * `-` and nothing are stdout. Throws UsageError for a file that cannot be written, before any work is done for it; what
 * is in it stays until there is something to write.
 */
export async function openOutput(path: string | undefined, stdout: NodeJS.WritableStream): Promise<Output> {
  if (path === undefined || path === '-')
    return {
      isStdout: true,
      write: (source) => pipeline(source, stdout as Writable, { end: false }),
    };
  if (isGzipName(path)) throw new UsageError('Results are not compressed here: use -o - | gzip');
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
    await (await open(path, 'a')).close();
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
