import { randomUUID } from 'node:crypto';
import type { ApiCall } from '../api-client.ts';
import type { Arguments } from '../arguments.ts';
import { batchPath } from '../batch-object.ts';
import type { BatchObject } from '../batch-object.ts';
import type { Command, Context, Example } from '../command.ts';
import { exitCodes } from '../exit-code.ts';
import type { ExitCode } from '../exit-code.ts';
import { printJson, printLine } from '../output.ts';
import { describeBatch } from '../watch.ts';
import { batchIdOf } from './batch-id.ts';

/** What cancel, pause and resume have in common: one call, and how the batch is then. */
function control(
  verb: string,
  words: { readonly summary: string; readonly about: string; readonly example: Example },
  callOf: (id: string) => ApiCall,
): Command {
  return {
    name: `batch ${verb}`,
    operands: 'ID',
    operandCount: { min: 1, max: 1 },
    summary: words.summary,
    about: words.about,
    options: {},
    examples: [words.example],
    async run(context: Context, args: Arguments): Promise<ExitCode> {
      const batch = await context.api.json<BatchObject>(callOf(batchIdOf(args)));
      if (args.flag('json')) printJson(context.stdout, batch);
      else for (const line of describeBatch(batch)) printLine(context.stdout, line);
      return exitCodes.ok;
    },
  };
}

/** A POST that may be made again: its key makes both one. */
export function postOnce(path: string): ApiCall {
  return { method: 'POST', path, headers: { 'idempotency-key': `cli-${randomUUID()}` } };
}

export const cancel = control(
  'cancel',
  {
    summary: 'ends a batch; rows that have not begun are not run',
    about: 'The results of the rows that were done stay. A batch that has ended is left as it is.',
    example: {
      line: 'millrace batch cancel batch_01K8Y…',
      does: 'no run of it begins later than a second from now',
    },
  },
  (id) => ({ method: 'DELETE', path: batchPath(id) }),
);

export const pause = control(
  'pause',
  {
    summary: 'holds a batch; what runs is finished, nothing more begins',
    about: 'Nothing is lost, and an upload goes on. A batch that has ended cannot be paused.',
    example: { line: 'millrace batch pause batch_01K8Y…', does: 'leaves the workers to others for a while' },
  },
  (id) => postOnce(batchPath(id, '/pause')),
);

export const resume = control(
  'resume',
  {
    summary: 'lets a paused batch go on',
    about: '',
    example: { line: 'millrace batch resume batch_01K8Y…', does: 'goes on where it was held' },
  },
  (id) => postOnce(batchPath(id, '/resume')),
);
