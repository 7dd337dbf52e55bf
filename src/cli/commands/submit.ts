import { randomUUID } from 'node:crypto';
import type { Arguments, OptionSpecs } from '../arguments.ts';
import type { BatchObject } from '../batch-object.ts';
import type { Command, Context } from '../command.ts';
import { exitCodes } from '../exit-code.ts';
import type { ExitCode } from '../exit-code.ts';
import { UsageError } from '../failures.ts';
import type { StreamedBody } from '../http-call.ts';
import { openOutput, printJson, printLine } from '../output.ts';
import type { Output } from '../output.ts';
import { RateMeter } from '../rate-meter.ts';
import { readResults } from '../results-stream.ts';
import {
  formatOfName,
  isGzipName,
  isSameFile,
  mediaTypes,
  openRows,
  rowFormats,
  toBody,
  toJsonBody,
} from '../rows-source.ts';
import type { RowFormat, RowsSource } from '../rows-source.ts';
import { describeEnd, exitCodeOf, watchBatch } from '../watch.ts';
import { modelOptions, modelPath, renderOptions, renderParameters, toQuery } from './model-options.ts';

const options: OptionSpecs = {
  ...modelOptions,
  format: {
    type: 'string',
    value: 'F',
    help: 'of the rows: ndjson, csv or json; default by the name, else ndjson',
  },
  ...renderOptions,
  webhook: { type: 'string', value: 'URL', help: 'is sent the batch when it has ended' },
  'idempotency-key': {
    type: 'string',
    value: 'K',
    help: 'the same key and rows again are the same batch; default: a new one',
  },
  watch: { type: 'boolean', short: 'w', help: 'wait for the end, and show progress' },
  output: {
    type: 'string',
    short: 'o',
    value: 'FILE',
    help: 'wait for the end and write the results there; - is stdout',
  },
};

/** Who types the command alone would otherwise wonder what it waits for. */
const typedRows = 'Rows from the terminal, one a line; Ctrl-D ends them:';

export const submit: Command = {
  name: 'batch submit',
  operands: 'FILE|-',
  operandCount: { min: 1, max: 1 },
  summary: 'uploads rows as a batch and prints its id',
  about: `FILE has one row a line (NDJSON: an instance, or {"id": "mine", "inputs": …}; CSV: below a header of feature
names), or is a JSON array of instances. - is stdin; .gz goes as it is. A row that is not valid fails alone,
with its line, and never the batch. Rows run while others are still on their way. With --output the results
come in the format of the rows, or by the name of that file.`,
  options,
  examples: [
    {
      line: 'millrace batch submit rows.ndjson --model wine --watch',
      does: 'uploads, shows progress until the end',
    },
    {
      line: 'id=$(millrace batch submit rows.csv --model iris)',
      does: 'prints the id at once; the batch goes on by itself',
    },
    {
      line: 'zcat rows.ndjson.gz | millrace batch submit - --model wine -o - | jq -r .output',
      does: 'a filter: rows in, results out, in the same order',
    },
  ],
  run,
};

async function run(context: Context, args: Arguments): Promise<ExitCode> {
  const [operand = '-'] = args.operands;
  const format = args.oneOf('format', rowFormats) ?? formatOfName(operand) ?? 'ndjson';
  const outputPath = args.text('output');
  if (operand === '-' && context.stdin.isTTY === true) context.display.note(typedRows);
  const source = openRows(operand, context.stdin);
  if (outputPath !== undefined && operand !== '-' && isSameFile(operand, outputPath))
    throw new UsageError('--output would write over the rows');
  const call = toCall(args, format, source);
  const output = outputPath === undefined ? undefined : await openOutput(outputPath, context.stdout);
  const batch = await upload(context, call);
  if (!args.flag('watch') && output === undefined) {
    if (args.flag('json')) printJson(context.stdout, batch);
    else printLine(context.stdout, batch.id);
    context.display.note(`Accepted. Follow it:  millrace batch status ${batch.id} --watch`);
    return exitCodes.ok;
  }
  if (output?.isStdout !== true && !args.flag('json')) printLine(context.stdout, batch.id);
  const ended = await watchBatch(context, batch.id);
  if (output !== undefined)
    await writeResults(context, output, ended, formatOfName(outputPath ?? '') ?? format);
  if (args.flag('json') && output?.isStdout !== true) printJson(context.stdout, ended);
  for (const line of describeEnd(ended, output !== undefined)) context.display.note(line);
  return exitCodeOf(ended);
}

interface SubmitCall {
  readonly path: string;
  readonly contentType: string;
  readonly isGzip: boolean;
  readonly idempotencyKey: string;
  readonly source: RowsSource;
  body(onSent: (byteCount: number) => void): StreamedBody;
}

/** Throws UsageError. */
function toCall(args: Arguments, format: RowFormat, source: RowsSource): SubmitCall {
  const parameters = renderParameters(args);
  const webhook = args.text('webhook');
  if (webhook !== undefined && !URL.canParse(webhook)) throw new UsageError('--webhook must be a URL');
  const isGzip = isGzipName(args.operands[0] ?? '');
  if (isGzip && format === 'json') throw new UsageError('JSON goes as it is: expand it, or write NDJSON');
  const call = {
    contentType: mediaTypes[format],
    isGzip,
    idempotencyKey: args.text('idempotency-key') ?? `cli-${randomUUID()}`,
    source,
  };
  const path = `${modelPath(args)}/batch`;
  if (format === 'json') {
    const rest = {
      ...(Object.keys(parameters).length === 0 ? {} : { parameters }),
      ...(webhook === undefined ? {} : { webhook }),
    };
    return { ...call, path, body: (onSent) => toJsonBody(source, rest, onSent) };
  }
  const query = toQuery({ ...parameters, ...(webhook === undefined ? {} : { webhook }) });
  return { ...call, path: `${path}${query}`, body: (onSent) => toBody(source, onSent) };
}

async function upload(context: Context, call: SubmitCall): Promise<BatchObject> {
  context.onInterrupt(
    'The upload was cut: the server ends that batch as failed, and forgets it after a day.',
  );
  let meter = new RateMeter();
  let sentBytes = 0;
  const onSent = (byteCount: number) => {
    sentBytes += byteCount;
    meter.add(sentBytes, performance.now());
    context.display.show({
      label: 'uploading',
      unit: 'bytes',
      done: sentBytes,
      total: call.source.sizeBytes,
      perSecond: meter.perSecond(),
      failed: 0,
      paused: false,
    });
  };
  const body = call.body(onSent);
  const restarting: StreamedBody = {
    ...body,
    open: () => {
      sentBytes = 0;
      meter = new RateMeter();
      return body.open();
    },
  };
  try {
    return await context.api.json<BatchObject>({
      method: 'POST',
      path: call.path,
      headers: {
        'content-type': call.contentType,
        ...(call.isGzip ? { 'content-encoding': 'gzip' } : {}),
        'idempotency-key': call.idempotencyKey,
        prefer: 'respond-async',
      },
      body: restarting,
      repeatable: () => call.source.repeatable(),
    });
  } finally {
    context.display.clear();
  }
}

async function writeResults(
  context: Context,
  output: Output,
  batch: BatchObject,
  format: RowFormat,
): Promise<void> {
  context.onInterrupt(`The results are incomplete. Get them:  millrace batch results ${batch.id}`);
  const wish = { format, follow: false, signal: context.interrupted, onStatus: () => undefined };
  await output.write(readResults(context.api, batch.id, wish));
}
