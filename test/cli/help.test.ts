import { expect } from 'chai';
import { parseArguments } from '../../src/cli/arguments.ts';
import { commands, findCommand } from '../../src/cli/command-table.ts';
import { exitCodes } from '../../src/cli/exit-code.ts';
import { commandHelp, commonOptions } from '../../src/cli/help.ts';

/** The words of the first `millrace` in a line of shell, as far as it goes. */
function wordsOf(line: string): readonly string[] {
  const part = /\bmillrace (.*?)(?:\)|$| [|&])/.exec(line)?.[1] ?? '';
  return [...part.matchAll(/'([^']*)'|(\S+)/g)].map(([, quoted, bare]) => quoted ?? bare ?? '');
}

describe('help', () => {
  for (const command of commands) {
    it(`of ${command.name} names each option, and has examples that work`, () => {
      const text = commandHelp(command);
      const specs = { ...command.options, ...commonOptions };
      for (const option of Object.keys(specs)) expect(text).to.include(`--${option}`);
      expect(command.examples).not.to.deep.equal([]);
      for (const { line } of command.examples) {
        const wanted = findCommand(wordsOf(line));
        if (wanted.kind !== 'command') throw new Error(`${line} is no command`);
        expect(wanted.command, line).to.equal(command);
        const { operands } = parseArguments(wanted.rest, specs);
        expect(operands.length, line).to.be.within(command.operandCount.min, command.operandCount.max);
      }
      for (const row of text.split('\n')) expect(row.length, row).to.be.at.most(120);
    });
  }

  it('is there on every level, by any of its names', () => {
    for (const words of [[], ['--help'], ['-h'], ['help']])
      expect(findCommand(words)).to.have.property('text').that.includes('millrace predict');
    for (const words of [['batch'], ['batch', '--help'], ['help', 'batch'], ['batch', 'help']])
      expect(findCommand(words))
        .to.have.property('text')
        .that.includes('millrace batch submit FILE|-')
        .and.does.not.include('millrace predict ');
    const wanted = findCommand(['help', 'batch', 'submit']);
    expect(wanted.kind === 'command' && wanted.rest).to.deep.equal(['--help']);
  });

  it('lists all exit codes', () => {
    const wanted = findCommand([]);
    const text = wanted.kind === 'help' ? wanted.text : '';
    for (const code of Object.values(exitCodes)) expect(text).to.match(new RegExp(`\\b${code} [a-z]`));
  });
});
