import { expect } from 'chai';
import { help, parseCommand, UsageError } from '../../../src/api/keys/command.ts';
import { scopes } from '../../../src/api/keys/scopes.ts';

function usageOf(...args: readonly string[]): string {
  try {
    parseCommand(args);
  } catch (error) {
    if (error instanceof UsageError) return error.message;
    throw error;
  }
  throw new Error(`${args.join(' ')} was accepted`);
}

describe('keys command line', () => {
  it('helps when nothing or help is asked for', () => {
    for (const args of [[], ['--help'], ['-h'], ['help'], ['create', '--help']])
      expect(parseCommand(args)).to.deep.equal({ kind: 'help' });
  });

  it('names every scope and command in the help', () => {
    for (const word of [...scopes, 'create', 'list', 'revoke', '--json', 'Exit codes'])
      expect(help).to.include(word);
  });

  it('reads create with its defaults', () => {
    expect(parseCommand(['create', '--name', ' ci '])).to.deep.equal({
      kind: 'create',
      json: false,
      request: { name: 'ci', scopes: ['predict', 'batch', 'models:read'], ratePerMinute: null },
      expiresInDays: null,
    });
  });

  it('reads create with everything', () => {
    const args = 'create --name ci --scopes admin,predict --rate 0 --expires-in 30 --json'.split(' ');
    expect(parseCommand(args)).to.deep.equal({
      kind: 'create',
      json: true,
      request: { name: 'ci', scopes: ['admin', 'predict'], ratePerMinute: 0 },
      expiresInDays: 30,
    });
  });

  it('reads list and revoke', () => {
    expect(parseCommand(['list', '--json'])).to.deep.equal({ kind: 'list', json: true });
    expect(parseCommand(['revoke', 'abc'])).to.deep.equal({ kind: 'revoke', json: false, id: 'abc' });
  });

  const wrong: readonly (readonly [RegExp, ...string[]])[] = [
    [/no command "creat"/, 'creat'],
    [/--name is needed/, 'create'],
    [/--name is needed/, 'create', '--name', '  '],
    [/no scope "root".*predict/, 'create', '--name', 'a', '--scopes', 'predict,root'],
    [/no scope ""/, 'create', '--name', 'a', '--scopes', ''],
    [/--rate/, 'create', '--name', 'a', '--rate', '-1'],
    [/--rate must be/, 'create', '--name', 'a', '--rate', '1.5'],
    [/--expires-in must be/, 'create', '--name', 'a', '--expires-in', '0'],
    [/--scope/, 'create', '--name', 'a', '--scope', 'predict'],
    [/no operands/, 'create', 'me', '--name', 'a'],
    [/no operands/, 'list', 'all'],
    [/--name goes with create/, 'list', '--name', 'a'],
    [/the id of one key/, 'revoke'],
    [/the id of one key/, 'revoke', 'a', 'b'],
  ];
  for (const [pattern, ...args] of wrong)
    it(`refuses: ${args.join(' ')}`, () => {
      expect(usageOf(...args)).to.match(pattern);
    });
});
