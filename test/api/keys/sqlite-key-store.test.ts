import { expect } from 'chai';
import { mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { SqliteKeyStore } from '../../../src/api/keys/sqlite-key-store.ts';
import { describeKeyStore, keyRecord } from '../../contracts/key-store.ts';
import { codeOf } from '../../contracts/store.ts';
import { refusalOf } from '../../support/refusals.ts';

describe('SqliteKeyStore', () => {
  let home: string;
  beforeEach(async () => {
    home = await mkdtemp(join(tmpdir(), 'millrace-keys-'));
  });
  afterEach(() => rm(home, { recursive: true, force: true }));

  describe('as a key store', () => describeKeyStore(() => new SqliteKeyStore(join(home, 'keys.db'))));

  it('is readable by its owner alone, with its folder made', async () => {
    const path = join(home, 'new', 'keys.db');
    const store = new SqliteKeyStore(path);
    await store.create(keyRecord());
    expect((await stat(path)).mode & 0o777).to.equal(0o600);
    await store.close();
  });

  it('shows one process what another has written', async () => {
    const path = join(home, 'keys.db');
    const reader = new SqliteKeyStore(path);
    const writer = new SqliteKeyStore(path);
    await writer.create(keyRecord());
    expect((await reader.get('AAAAAAAAAAAA'))?.name).to.equal('a caller');
    await writer.revoke('AAAAAAAAAAAA', 5);
    expect((await reader.get('AAAAAAAAAAAA'))?.revokedAtMs).to.equal(5);
    await writer.close();
    await reader.close();
  });

  it('says service_unavailable for a file that is no database, and after it was closed', async () => {
    const path = join(home, 'keys.db');
    await writeFile(path, 'this is not a database, and long enough to be looked at as one');
    refusalOf(() => new SqliteKeyStore(path), 'service_unavailable');
    const store = new SqliteKeyStore(join(home, 'other.db'));
    await store.close();
    expect(await codeOf(store.get('AAAAAAAAAAAA'))).to.equal('service_unavailable');
  });
});
