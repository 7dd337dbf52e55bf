import type { OptionSpecs } from './arguments.ts';
import type { Command, Example } from './command.ts';

/** Options of every command. */
export const commonOptions: OptionSpecs = {
  url: {
    type: 'string',
    value: 'URL',
    help: 'the server (MILLRACE_URL; default: the one that npm start runs here)',
  },
  key: { type: 'string', value: 'KEY', help: 'the API key (MILLRACE_API_KEY; here: the development key)' },
  retries: { type: 'string', value: 'N', help: 'attempts after a failed one, default 5; 0 for none' },
  json: { type: 'boolean', help: 'print what the server says as JSON, for programs' },
  help: { type: 'boolean', short: 'h', help: 'this text' },
};

const exitCodesText = `Exit codes
  0 done    1 rows failed, or the batch failed or was cancelled    2 the command line is not right
  3 the server refused (4xx)    4 not reachable, or 5xx, after all attempts    130 interrupted`;

/** `millrace --help`, and that of a group as `millrace batch --help`. */
export function groupHelp(group: string, commands: readonly Command[]): string {
  const prefix = group === '' ? '' : `${group} `;
  const rows = commands.map(
    ({ name, operands, summary }) => [`millrace ${name} ${operands}`.trim(), summary] as const,
  );
  const examples = commands
    .slice(0, groupExampleCount)
    .flatMap(({ examples: [first] }) => (first === undefined ? [] : [first]));
  return `${group === '' ? 'Predictions and batches of a Millrace server.' : aboutBatch}

${table(rows)}

Each has its own help:  millrace ${prefix === '' ? 'batch submit' : commands[0]?.name} --help

Examples
${examplesText(examples)}

Data goes to stdout, everything else to stderr.
Options everywhere
${optionsText(commonOptions)}

${exitCodesText}
`;
}

/** Those of the first commands show the way; each command has more. */
const groupExampleCount = 4;

const aboutBatch = `A batch is a file of rows for one model: it is uploaded once, runs on the server, and its results
are kept for a day, in the order of the rows. Nothing waits for you meanwhile: note the id and come back.`;

export function commandHelp({ name, operands, summary, about, options, examples }: Command): string {
  return `${summary.charAt(0).toUpperCase()}${summary.slice(1)}

  millrace ${`${name} ${operands}`.trim()} [options]

${about === '' ? '' : `${about}\n\n`}Options
${optionsText({ ...options, ...commonOptions })}

Examples
${examplesText(examples)}

${exitCodesText}
`;
}

function optionsText(options: OptionSpecs): string {
  return table(
    Object.entries(options).map(([name, { short, value, help }]) => [
      `${short === undefined ? '' : `-${short}, `}--${name}${value === undefined ? '' : ` ${value}`}`,
      help,
    ]),
  );
}

function examplesText(examples: readonly Example[]): string {
  return examples.map(({ line, does }) => `  ${line}\n      ${does}`).join('\n');
}

function table(rows: readonly (readonly [left: string, right: string])[]): string {
  const width = Math.max(...rows.map(([left]) => left.length));
  return rows.map(([left, right]) => `  ${left.padEnd(width)}  ${right}`.trimEnd()).join('\n');
}
