/** What the process says when it ends; `docs/cli.md` lists them. */
export const exitCodes = {
  ok: 0,
  /** The call worked, but rows failed, the batch failed or was cancelled; or a file here could not be written. */
  failed: 1,
  usage: 2,
  refused: 3,
  unreachable: 4,
  interrupted: 130,
} as const;

export type ExitCode = (typeof exitCodes)[keyof typeof exitCodes];
