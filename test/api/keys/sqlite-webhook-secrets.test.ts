import { mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { SqliteKeyStore } from '../../../src/api/keys/sqlite-key-store.ts';
import { SqliteWebhookSecrets } from '../../../src/api/keys/sqlite-webhook-secrets.ts';
import { keyRecord } from '../../contracts/key-store.ts';
import { codeOf } from '../../contracts/store.ts';
import { describeWebhookSecrets } from '../../contracts/webhook-secrets.ts';

describe('SqliteWebhookSecrets', () => {
  let home: string;
  let path: string;
  beforeEach(async () => {
    home = await mkdtemp(join(tmpdir(), 'millrace-secrets-'));
    path = join(home, 'keys.db');
  });
  afterEach(() => rm(home, { recursive: true, force: true }));

  describe('as secrets of webhooks', () => describeWebhookSecrets(() => new SqliteWebhookSecrets(path)));

  it('lie in the file of the keys, for its owner alone', async () => {
    const keys = new SqliteKeyStore(path);
    await keys.create(keyRecord());
    const secrets = new SqliteWebhookSecrets(path);
    await secrets.ensure('AAAAAAAAAAAA', 'whsec_1', 1);
    expect((await stat(path)).mode & 0o777).to.equal(0o600);
    expect(await keys.list()).to.have.length(1);
    await keys.close();
    await secrets.close();
  });

  it('are the same for processes that ask at once', async () => {
    const all = Array.from({ length: 8 }, () => new SqliteWebhookSecrets(path));
    const known = await Promise.all(all.map((each, n) => each.ensure('me', `whsec_${n}`, n)));
    expect(new Set(known.map(([current]) => current?.secret)).size).to.equal(1);
    await Promise.all(all.map((each) => each.close()));
  });

  it('are service_unavailable once they are closed', async () => {
    const secrets = new SqliteWebhookSecrets(path);
    await secrets.close();
    expect(await codeOf(secrets.ensure('me', 'whsec_1', 1))).to.equal('service_unavailable');
    expect(await codeOf(secrets.rotate('me', 'whsec_1', 1, 1))).to.equal('service_unavailable');
  });
});
