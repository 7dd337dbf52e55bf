import type { Command } from './command.ts';
import { cancel, pause, resume } from './commands/control.ts';
import { list } from './commands/list.ts';
import { predict } from './commands/predict.ts';
import { results } from './commands/results.ts';
import { retry } from './commands/retry.ts';
import { status } from './commands/status.ts';
import { submit } from './commands/submit.ts';
import { UsageError } from './failures.ts';
import { groupHelp } from './help.ts';

/** In the order of the help. */
export const commands: readonly Command[] = [
  predict,
  submit,
  status,
  results,
  retry,
  cancel,
  pause,
  resume,
  list,
];

/** What the words of a command line ask for: a command with the rest of the words, or the help of a group. */
export type Wanted =
  | { readonly kind: 'command'; readonly command: Command; readonly rest: readonly string[] }
  | { readonly kind: 'help'; readonly text: string }
  | { readonly kind: 'version' };

/** Throws UsageError for words that name no command. */
export function findCommand(words: readonly string[]): Wanted {
  const [first = '--help', ...others] = words;
  if (first === '--version') return { kind: 'version' };
  if (first === 'help') return findCommand([...others, '--help']);
  if (first === '--help' || first === '-h') return { kind: 'help', text: groupHelp('', commands) };
  const command = commands.find(({ name }) => name === first || name === `${first} ${others[0]}`);
  if (command !== undefined)
    return { kind: 'command', command, rest: words.slice(command.name.split(' ').length) };
  const group = commands.filter(({ name }) => name.startsWith(`${first} `));
  if (group.length > 0 && isHelp(others[0])) return { kind: 'help', text: groupHelp(first, group) };
  const expected = (group.length > 0 ? group : commands).map(({ name }) => name).join(', ');
  const found = group.length > 0 ? `${first} ${others[0]}` : first;
  throw new UsageError(`There is no command ${JSON.stringify(found)}: expected ${expected}`);
}

function isHelp(word: string | undefined): boolean {
  return word === undefined || word === '--help' || word === '-h' || word === 'help';
}
