import type { Arguments } from '../arguments.ts';
import type { BatchObject } from '../batch-object.ts';
import type { Command, Context } from '../command.ts';
import { exitCodes } from '../exit-code.ts';
import type { ExitCode } from '../exit-code.ts';
import { printJson, printLine } from '../output.ts';
import { count } from '../progress.ts';

interface BatchListing {
  readonly batches: readonly BatchObject[];
  readonly next_cursor: string | null;
}

/** Of a page of the API. */
const pageLimitMax = 100;
const listedMax = 10_000;
const listedDefault = 20;

export const list: Command = {
  name: 'batch list',
  operands: '',
  operandCount: { min: 0, max: 0 },
  summary: 'lists your batches, newest first',
  about: 'With an admin key: those of everybody.',
  options: { limit: { type: 'string', value: 'N', help: `at most so many, default ${listedDefault}` } },
  examples: [
    { line: 'millrace batch list', does: 'the last twenty' },
    {
      line: 'millrace batch list --json | jq -r \'.[] | select(.status == "running") | .id\'',
      does: 'ids of those that run',
    },
  ],
  async run(context: Context, args: Arguments): Promise<ExitCode> {
    const limit = args.integer('limit', 1, listedMax) ?? listedDefault;
    const batches = await listBatches(context, limit);
    if (args.flag('json')) printJson(context.stdout, batches);
    else for (const row of toRows(batches)) printLine(context.stdout, row);
    if (batches.length === 0 && !args.flag('json'))
      context.display.note('There are no batches yet:  millrace batch submit --help');
    return exitCodes.ok;
  },
};

async function listBatches({ api }: Context, limit: number): Promise<readonly BatchObject[]> {
  const batches: BatchObject[] = [];
  let cursor: string | null = null;
  do {
    const query = new URLSearchParams({ limit: String(Math.min(pageLimitMax, limit - batches.length)) });
    if (cursor !== null) query.set('cursor', cursor);
    // A page names the one after it.
    // oxlint-disable-next-line no-await-in-loop
    const page: BatchListing = await api.json({ method: 'GET', path: `/api/v1/batch?${query.toString()}` });
    batches.push(...page.batches);
    cursor = page.next_cursor;
  } while (cursor !== null && batches.length < limit);
  return batches;
}

function toRows(batches: readonly BatchObject[]): readonly string[] {
  if (batches.length === 0) return [];
  const cells = [
    ['ID', 'STATUS', 'MODEL', 'ROWS', 'FAILED', 'CREATED'],
    ...batches.map(
      ({ id, status, paused, model_name: name, model_version: version, counts, created_at: at }) => [
        id,
        paused ? `${status}, paused` : status,
        `${name} ${version}`,
        counts.total === null ? '?' : count(counts.total),
        count(counts.failed),
        `${at.slice(0, 19)}Z`,
      ],
    ),
  ];
  const widths =
    cells[0]?.map((_, column) => Math.max(...cells.map((row) => row[column]?.length ?? 0))) ?? [];
  return cells.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd(),
  );
}
