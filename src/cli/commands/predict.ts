import { randomUUID } from 'node:crypto';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import type { Arguments } from '../arguments.ts';
import type { Command, Context } from '../command.ts';
import { exitCodes } from '../exit-code.ts';
import type { ExitCode } from '../exit-code.ts';
import { describe, RefusedError, UsageError } from '../failures.ts';
import type { CommandError } from '../failures.ts';
import { inOrder } from '../in-order.ts';
import { printLine } from '../output.ts';
import { modelOptions, modelPath, renderOptions, renderParameters } from './model-options.ts';

interface Answer {
  readonly predictions: readonly unknown[];
}

/** Requests at once for many lines: enough for them to run together, few enough to be a modest caller. */
const lineConcurrency = 8;
/** A day; the API has a lower bound of its own, a setting. */
const timeoutMsMax = 86_400_000;

const typedInstances = 'Instances from the terminal, one a line, as [5.1, 3.5, 1.4, 0.2]; Ctrl-D ends them:';

export const predict: Command = {
  name: 'predict',
  operands: '[INPUTS|-]',
  operandCount: { min: 0, max: 1 },
  summary: 'predicts one instance, or one for each line of stdin',
  about: `INPUTS is one instance as JSON: an array, or an object by feature name. Without it, or with -, each line of
stdin is an instance, and the answers come in the order of the lines, one a line; a line that fails
gets {"error": …}. For more than some hundred lines  millrace batch submit  is faster and kinder to others.`,
  options: {
    ...modelOptions,
    ...renderOptions,
    'timeout-ms': { type: 'string', value: 'N', help: 'deadline of each prediction' },
    'no-cache': { type: 'boolean', help: 'compute it anew' },
  },
  examples: [
    { line: "millrace predict '[5.1, 3.5, 1.4, 0.2]' --model iris", does: 'one instance' },
    {
      line: "millrace predict --model wine --json '[1.5, 2.0, 3.1, 4.2, 5.0]'",
      does: 'the whole answer of the API',
    },
    {
      line: 'tail -f readings.ndjson | millrace predict --model iris',
      does: 'a prediction for each line as it comes',
    },
  ],
  async run(context: Context, args: Arguments): Promise<ExitCode> {
    const ask = askerOf(context, args);
    const [operand = '-'] = args.operands;
    const shown = (answer: Answer) =>
      args.flag('json') ? JSON.stringify(answer) : JSON.stringify(answer.predictions[0]);
    if (operand === '-') {
      if (context.stdin.isTTY === true) context.display.note(typedInstances);
      return predictLines(context, ask, shown);
    }
    printLine(context.stdout, shown(await ask(parseInstance(operand, 'INPUTS'))));
    return exitCodes.ok;
  },
};

type Asker = (inputs: unknown) => Promise<Answer>;

/** Throws UsageError. */
function askerOf({ api }: Context, args: Arguments): Asker {
  const path = `${modelPath(args)}/predict`;
  const timeoutMs = args.integer('timeout-ms', 1, timeoutMsMax);
  const parameters = {
    ...renderParameters(args),
    ...(timeoutMs === undefined ? {} : { timeout_ms: timeoutMs }),
    ...(args.flag('no-cache') ? { cache: false } : {}),
  };
  return (inputs) =>
    api.json<Answer>({
      method: 'POST',
      path,
      headers: { 'idempotency-key': `cli-${randomUUID()}` },
      body: Object.keys(parameters).length === 0 ? { inputs } : { inputs, parameters },
    });
}

/** Throws UsageError. */
function parseInstance(text: string, where: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    const found = JSON.stringify(text.length > 40 ? `${text.slice(0, 40)}…` : text);
    throw new UsageError(`${where} must be JSON, as '[1.5, 2.0]' or '{"age": 41}'; found ${found}`);
  }
}

/** Goes on after lines that fail for what is in them, and ends at a failure that all further lines would meet. */
async function predictLines(
  { stdin, stdout, display, interrupted }: Context,
  ask: Asker,
  shown: (answer: Answer) => string,
): Promise<ExitCode> {
  let failedCount = 0;
  const lines = createInterface({ input: stdin as Readable, crlfDelay: Infinity, signal: interrupted });
  const answerOf = async ({ text, line }: NumberedLine): Promise<string> => {
    try {
      return shown(await ask(parseInstance(text, `line ${line}`)));
    } catch (error) {
      const row = errorRow(error);
      if (row === undefined) throw error;
      failedCount += 1;
      display.note(`line ${line}: ${describe(error as CommandError).join('\n')}`);
      return row;
    }
  };
  try {
    for await (const text of inOrder(numbered(lines), lineConcurrency, answerOf)) printLine(stdout, text);
  } finally {
    lines.close();
  }
  return failedCount === 0 ? exitCodes.ok : exitCodes.failed;
}

interface NumberedLine {
  readonly text: string;
  /** From 1, empty lines counted. */
  readonly line: number;
}

async function* numbered(lines: AsyncIterable<string>): AsyncGenerator<NumberedLine> {
  let line = 0;
  for await (const text of lines) {
    line += 1;
    if (text.trim() !== '') yield { text, line };
  }
}

/** Undefined for what is no fault of the line. */
function errorRow(error: unknown): string | undefined {
  if (error instanceof UsageError)
    return JSON.stringify({ error: { code: 'invalid_input', message: error.message, details: null } });
  if (!(error instanceof RefusedError) || !faultsOfLines.has(error.refusal.status)) return undefined;
  const { code, message, details } = error.refusal;
  return JSON.stringify({ error: { code, message, details } });
}

/** Bad values, too large, run failed, deadline passed; not: no such model, no rights, no server. */
const faultsOfLines: ReadonlySet<number> = new Set([400, 413, 500, 504]);
