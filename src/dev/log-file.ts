import { existsSync, openSync, readFileSync, renameSync } from 'node:fs';

/** Lines shown when a child fails to start: a stack with its cause. */
const tailLinesMax = 20;
/** Such a tail is read from this many bytes at most: 20 lines of 400 characters. */
const tailBytesMax = 8_192;

/** Keeps the log of the run before as `<file>.1`, so that two runs at most are on the disk. */
export function rotateLog(file: string): void {
  if (existsSync(file)) renameSync(file, `${file}.1`);
}

/** For a child's stdout and stderr: what it writes is kept even when the launcher is gone. */
export function openLog(file: string): number {
  return openSync(file, 'a', 0o600);
}

export function tailOfLog(file: string): readonly string[] {
  if (!existsSync(file)) return [];
  const text = readFileSync(file).subarray(-tailBytesMax).toString().trimEnd();
  return text === '' ? [] : text.split('\n').slice(-tailLinesMax);
}
