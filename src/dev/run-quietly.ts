import { execFile } from 'node:child_process';

export interface QuietEnd {
  readonly succeeded: boolean;
  readonly stdout: string;
}

/** Runs a program to its end; nothing of it is shown, and a question that it asks gets no answer. Never rejects. */
export function runQuietly(
  command: string,
  args: readonly string[],
  path: string,
  timeoutMs: number,
): Promise<QuietEnd> {
  const env = { ...process.env, PATH: path, DEBIAN_FRONTEND: 'noninteractive' };
  return new Promise((resolve) => {
    const child = execFile(command, args, { timeout: timeoutMs, env }, (error, stdout) =>
      resolve({ succeeded: error === null, stdout }),
    );
    child.stdin?.end();
  });
}
