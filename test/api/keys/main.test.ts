import { expect } from 'chai';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseKey, secretMatches } from '../../../src/api/keys/key-format.ts';
import { SqliteKeyStore } from '../../../src/api/keys/sqlite-key-store.ts';
import { runProgram } from '../../support/run-program.ts';

const script = fileURLToPath(new URL('../../../src/api/keys/main.ts', import.meta.url));

describe('npm run keys', () => {
  let home: string;
  before(async () => {
    home = await mkdtemp(join(tmpdir(), 'millrace-keys-'));
  });
  after(() => rm(home, { recursive: true, force: true }));

  const keys = (...args: readonly string[]) =>
    runProgram(process.execPath, [script, ...args], {
      env: { PATH: process.env['PATH'], MILLRACE_HOME: home },
    });

  it('creates a key that is shown once, lists it and revokes it', async () => {
    const created = await keys('create', '--name', 'ci', '--json');
    expect(created.code, created.stderr).to.equal(0);
    const { key, id } = JSON.parse(created.stdout) as { key: string; id: string };
    const parsed = parseKey(key);
    expect(parsed).to.include({ environment: 'dev', id });

    const store = new SqliteKeyStore(join(home, 'keys.db'));
    const record = await store.get(id);
    await store.close();
    expect(secretMatches(parsed!.secret, record?.secretDigest)).to.equal(true);

    const listed = await keys('list');
    expect(listed.stdout).to.include(id).and.include('ci').and.not.include(parsed!.secret);

    expect((await keys('revoke', id)).code).to.equal(0);
    expect((await keys('list')).stdout).to.match(/REVOKED/);
  });

  it('ends with 1 for a key that is not there and 2 for a wrong command line, with the help', async () => {
    const unknown = await keys('revoke', 'ZZZZZZZZZZZZ');
    expect(unknown.code).to.equal(1);
    expect(unknown.stderr).to.include('ZZZZZZZZZZZZ');
    const wrong = await keys('create');
    expect(wrong.code).to.equal(2);
    expect(wrong.stderr).to.include('--name is needed').and.include('npm run keys -- create');
    expect(wrong.stdout).to.equal('');
  });
});
