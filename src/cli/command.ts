import type { ApiClient } from './api-client.ts';
import type { Arguments, OptionSpecs } from './arguments.ts';
import type { ExitCode } from './exit-code.ts';
import type { ProgressDisplay } from './progress-display.ts';

/** What a command may use of the world: data goes to stdout, everything for people to stderr. */
export interface Context {
  readonly api: ApiClient;
  readonly stdin: NodeJS.ReadableStream & { readonly isTTY?: boolean };
  readonly stdout: NodeJS.WritableStream;
  /** Writes to stderr: progress, and all that is said to people. */
  readonly display: ProgressDisplay;
  /** Aborts at the first Ctrl-C. */
  readonly interrupted: AbortSignal;
  /** What a person should know who presses Ctrl-C now, as how to go on. */
  onInterrupt(advice: string): void;
}

/** One command: everything about it but its place in the table. */
export interface Command {
  /** As it is typed: `batch submit`. */
  readonly name: string;
  /** Operands as the help shows them; empty for none. */
  readonly operands: string;
  readonly operandCount: { readonly min: number; readonly max: number };
  /** One line. */
  readonly summary: string;
  /** What a person should know before they use it. */
  readonly about: string;
  readonly options: OptionSpecs;
  readonly examples: readonly Example[];
  run(context: Context, args: Arguments): Promise<ExitCode>;
}

export interface Example {
  readonly line: string;
  readonly does: string;
}
