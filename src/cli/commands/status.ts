import type { Arguments } from '../arguments.ts';
import { batchPath } from '../batch-object.ts';
import type { BatchObject } from '../batch-object.ts';
import type { Command, Context } from '../command.ts';
import type { ExitCode } from '../exit-code.ts';
import { printJson, printLine } from '../output.ts';
import { describeBatch, exitCodeOf, watchBatch } from '../watch.ts';
import { batchIdOf } from './batch-id.ts';

export const status: Command = {
  name: 'batch status',
  operands: 'ID',
  operandCount: { min: 1, max: 1 },
  summary: 'says how a batch is going, or how it ended',
  about:
    'A batch that has ended with failed rows, failed or was cancelled is exit code 1; one that goes on is 0.',
  options: { watch: { type: 'boolean', short: 'w', help: 'wait for the end, and show progress' } },
  examples: [
    {
      line: 'millrace batch status batch_01K8Y…',
      does: 'how many rows are done, how many failed, how long it takes yet',
    },
    { line: 'millrace batch status batch_01K8Y… --watch && echo done', does: 'waits for the end' },
    { line: 'millrace batch status batch_01K8Y… --json | jq .counts', does: 'the batch object of the API' },
  ],
  async run(context: Context, args: Arguments): Promise<ExitCode> {
    const id = batchIdOf(args);
    const batch = args.flag('watch')
      ? await watchBatch(context, id)
      : await context.api.json<BatchObject>({ method: 'GET', path: batchPath(id) });
    if (args.flag('json')) printJson(context.stdout, batch);
    else for (const line of describeBatch(batch)) printLine(context.stdout, line);
    return exitCodeOf(batch);
  },
};
