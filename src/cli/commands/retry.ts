import type { Arguments } from '../arguments.ts';
import { batchPath } from '../batch-object.ts';
import type { BatchObject } from '../batch-object.ts';
import type { Command, Context } from '../command.ts';
import { exitCodes } from '../exit-code.ts';
import type { ExitCode } from '../exit-code.ts';
import { printJson, printLine } from '../output.ts';
import { describeEnd, exitCodeOf, watchBatch } from '../watch.ts';
import { batchIdOf } from './batch-id.ts';
import { postOnce } from './control.ts';

export const retry: Command = {
  name: 'batch retry',
  operands: 'ID',
  operandCount: { min: 1, max: 1 },
  summary: 'runs the failed rows of a batch again, as a new batch',
  about: `The batch must have ended. Rows that were refused for what they hold are not run again: they would be
refused again. The new batch has the ids of the rows, so give your rows ids to know them by.`,
  options: { watch: { type: 'boolean', short: 'w', help: 'wait for the end, and show progress' } },
  examples: [
    {
      line: 'millrace batch retry batch_01K8Y… --watch',
      does: 'prints the id of the new batch and follows it',
    },
  ],
  async run(context: Context, args: Arguments): Promise<ExitCode> {
    const made = await context.api.json<BatchObject>(postOnce(batchPath(batchIdOf(args), '/retry')));
    if (!args.flag('json')) printLine(context.stdout, made.id);
    if (!args.flag('watch')) {
      if (args.flag('json')) printJson(context.stdout, made);
      return exitCodes.ok;
    }
    const ended = await watchBatch(context, made.id);
    if (args.flag('json')) printJson(context.stdout, ended);
    for (const line of describeEnd(ended, false)) context.display.note(line);
    return exitCodeOf(ended);
  },
};
