import { expect } from 'chai';
import { chmod, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseKey } from '../../src/api/keys/key-format.ts';
import { scopes } from '../../src/api/keys/scopes.ts';
import { SqliteKeyStore } from '../../src/api/keys/sqlite-key-store.ts';
import { prepareDevKey } from '../../src/dev/dev-key.ts';
import { devKeyFile } from '../../src/run-file.ts';

describe('development key', () => {
  let home: string;
  let store: SqliteKeyStore;

  beforeEach(async () => {
    home = await mkdtemp(join(tmpdir(), 'millrace key '));
    store = new SqliteKeyStore(join(home, 'keys.db'));
  });
  afterEach(async () => {
    await store.close();
    await rm(home, { recursive: true, force: true });
  });

  async function modeOfFile(): Promise<number> {
    return (await stat(devKeyFile(home))).mode & 0o777;
  }

  it('has every scope and no rate limit, and lies in a file for its owner alone', async () => {
    const key = await prepareDevKey(home, store, 1);
    const record = await store.get(parseKey(key)!.id);
    expect(record).to.deep.include({ scopes: [...scopes], ratePerMinute: 0, expiresAtMs: null });
    expect(await readFile(devKeyFile(home), 'utf8')).to.equal(`${key}\n`);
    expect(await modeOfFile()).to.equal(0o600);
  });

  it('is used again, and closed to others again', async () => {
    const key = await prepareDevKey(home, store, 1);
    await chmod(devKeyFile(home), 0o644);
    expect(await prepareDevKey(home, store, 2)).to.equal(key);
    expect(await modeOfFile()).to.equal(0o600);
    expect(await store.list()).to.have.length(1);
  });

  it('is replaced when it was revoked, or when the file holds no key that is known', async () => {
    const revoked = await prepareDevKey(home, store, 1);
    await store.revoke(parseKey(revoked)!.id, 2);
    const second = await prepareDevKey(home, store, 3);
    expect(second).not.to.equal(revoked);
    await writeFile(devKeyFile(home), 'mlr_dev_nonsense');
    const third = await prepareDevKey(home, store, 4);
    expect([revoked, second]).not.to.include(third);
    expect(await readFile(devKeyFile(home), 'utf8')).to.equal(`${third}\n`);
  });
});
