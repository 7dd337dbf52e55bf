import type { Arguments } from '../arguments.ts';
import type { Command, Context } from '../command.ts';
import { exitCodes } from '../exit-code.ts';
import type { ExitCode } from '../exit-code.ts';
import { UsageError } from '../failures.ts';
import { openOutput } from '../output.ts';
import { readResults } from '../results-stream.ts';
import { formatOfName, rowFormats } from '../rows-source.ts';
import { batchIdOf } from './batch-id.ts';

export const results: Command = {
  name: 'batch results',
  operands: 'ID',
  operandCount: { min: 1, max: 1 },
  summary: 'writes the results of a batch, in the order of its rows',
  about: `A row that failed has an error in place of its output. While the batch runs the results end before
the first row that has none yet; --follow waits for the rest.`,
  options: {
    format: {
      type: 'string',
      value: 'F',
      help: 'ndjson, csv or json; default by the name of --output, else ndjson',
    },
    follow: { type: 'boolean', short: 'f', help: 'go on until the batch has ended' },
    output: { type: 'string', short: 'o', value: 'FILE', help: 'write there instead of stdout' },
  },
  examples: [
    { line: 'millrace batch results batch_01K8Y… -o results.csv', does: 'all results as CSV' },
    { line: "millrace batch results batch_01K8Y… | jq -c 'select(.error)'", does: 'the rows that failed' },
    {
      line: 'millrace batch results batch_01K8Y… --follow | head -3',
      does: 'the first three as soon as they are there',
    },
  ],
  async run(context: Context, args: Arguments): Promise<ExitCode> {
    const id = batchIdOf(args);
    const path = args.text('output');
    const format = args.oneOf('format', rowFormats) ?? formatOfName(path ?? '') ?? 'ndjson';
    if (format === 'json' && args.flag('follow'))
      throw new UsageError('--follow goes with ndjson and csv: JSON comes in pages');
    const output = await openOutput(path, context.stdout);
    context.onInterrupt(`The results are incomplete. Again:  millrace batch results ${id}`);
    const follow = args.flag('follow');
    let status = '';
    const onStatus = (asked: string) => (status = asked);
    const wish = { format, follow, onStatus, signal: context.interrupted };
    await output.write(readResults(context.api, id, wish));
    if (!follow && (status === 'queued' || status === 'running'))
      context.display.note('The batch goes on: these are the rows so far. --follow waits for the rest');
    return exitCodes.ok;
  },
};
