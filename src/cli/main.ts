import { readFileSync } from 'node:fs';
import { ApiClient } from './api-client.ts';
import { parseArguments } from './arguments.ts';
import type { Arguments } from './arguments.ts';
import { findCommand } from './command-table.ts';
import type { Command } from './command.ts';
import { exitCodes } from './exit-code.ts';
import type { ExitCode } from './exit-code.ts';
import { CommandError, describe, RefusedError, UsageError } from './failures.ts';
import { commandHelp, commonOptions } from './help.ts';
import { listenForInterrupt } from './interrupt.ts';
import type { Interrupt } from './interrupt.ts';
import { ProgressDisplay } from './progress-display.ts';
import { findTarget } from './target.ts';

const unauthorized = 401;
const retryCountDefault = 5;
const retryCountMax = 100;

/** Prints and returns the exit code. */
async function main(words: readonly string[], interrupt: Interrupt): Promise<ExitCode> {
  let helpLine = 'millrace --help';
  try {
    const wanted = findCommand(words);
    if (wanted.kind === 'help') process.stdout.write(wanted.text);
    if (wanted.kind === 'version') process.stdout.write(`millrace ${packageVersion()}\n`);
    if (wanted.kind !== 'command') return exitCodes.ok;
    const { command, rest } = wanted;
    helpLine = `millrace ${command.name} --help`;
    if (rest.includes('--help') || rest.includes('-h')) {
      process.stdout.write(commandHelp(command));
      return exitCodes.ok;
    }
    const args = parseArguments(rest, { ...command.options, ...commonOptions });
    const exitCode = await runCommand(command, args, interrupt);
    // A command that reads until the end of its input takes a Ctrl-C for that.
    interrupt.signal.throwIfAborted();
    return exitCode;
  } catch (error) {
    return report(error, helpLine, interrupt);
  }
}

async function runCommand(command: Command, args: Arguments, interrupt: Interrupt): Promise<ExitCode> {
  const { min, max } = command.operandCount;
  const { length } = args.operands;
  if (length < min) throw new UsageError(`${command.name} needs ${command.operands}`);
  if (length > max)
    throw new UsageError(
      `${command.name} takes ${max === 0 ? 'no operands' : 'one operand'}, found ${length}`,
    );
  const target = findTarget({ url: args.text('url'), key: args.text('key') }, process.env);
  const display = new ProgressDisplay(process.stderr);
  const context = {
    api: new ApiClient({
      ...target,
      retryCount: args.integer('retries', 0, retryCountMax) ?? retryCountDefault,
      signal: interrupt.signal,
      onRetry: (sentence) => display.note(sentence),
    }),
    stdin: process.stdin,
    stdout: process.stdout,
    display,
    interrupted: interrupt.signal,
    onInterrupt: (advice: string) => interrupt.advise(advice),
  };
  try {
    return await command.run(context, args);
  } finally {
    display.clear();
  }
}

function report(error: unknown, helpLine: string, interrupt: Interrupt): ExitCode {
  if (interrupt.signal.aborted) {
    process.stderr.write(`Interrupted. ${interrupt.advice}`.trim() + '\n');
    return exitCodes.interrupted;
  }
  if (!(error instanceof CommandError)) throw error;
  for (const line of describe(error)) process.stderr.write(`${line}\n`);
  if (error instanceof RefusedError && error.refusal.status === unauthorized)
    process.stderr.write(`Keys: --key, MILLRACE_API_KEY, or run this in the folder where npm start runs\n`);
  if (error instanceof UsageError) process.stderr.write(`${helpLine}  says more\n`);
  return error.exitCode;
}

function packageVersion(): string {
  const text = readFileSync(new URL('../../package.json', import.meta.url), 'utf8');
  return (JSON.parse(text) as { version: string }).version;
}

/** Who reads us has seen enough, as `head` does: the end, and no error. */
function endQuietly(error: NodeJS.ErrnoException): void {
  if (error.code !== 'EPIPE') throw error;
  process.exit(exitCodes.ok);
}

process.stdout.on('error', endQuietly);
process.stderr.on('error', endQuietly);
const interrupt = listenForInterrupt(process, () => process.exit(exitCodes.interrupted));
process.exitCode = await main(process.argv.slice(2), interrupt);
