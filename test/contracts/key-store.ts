import { expect } from 'chai';
import type { KeyRecord, KeyStore } from '../../src/api/keys/key-store.ts';
import { codeOf } from './store.ts';

export function keyRecord(changes: Partial<KeyRecord> = {}): KeyRecord {
  return {
    id: 'AAAAAAAAAAAA',
    secretDigest: Uint8Array.from({ length: 32 }, (_, index) => index),
    name: 'a caller',
    scopes: ['predict', 'models:read'],
    ratePerMinute: null,
    createdAtMs: 1_700_000_000_123,
    expiresAtMs: null,
    revokedAtMs: null,
    ...changes,
  };
}

/** What every KeyStore must do. `open` gives an empty one that the suite closes. */
export function describeKeyStore(open: () => KeyStore | Promise<KeyStore>): void {
  let store: KeyStore;
  beforeEach(async () => {
    store = await open();
  });
  afterEach(() => store.close());

  it('knows nothing at first', async () => {
    expect(await store.get('AAAAAAAAAAAA')).to.equal(undefined);
    expect(await store.list()).to.deep.equal([]);
  });

  it('gives back what was created, field for field', async () => {
    const plain = keyRecord();
    const full = keyRecord({ id: 'BBBBBBBBBBBB', ratePerMinute: 0, expiresAtMs: 1_800_000_000_000 });
    await store.create(plain);
    await store.create(full);
    expect(await store.get(plain.id)).to.deep.equal(plain);
    expect(await store.get(full.id)).to.deep.equal(full);
  });

  it('tells ids apart by case', async () => {
    await store.create(keyRecord());
    expect(await store.get('aaaaaaaaaaaa')).to.equal(undefined);
  });

  it('refuses a second key of the same id and keeps the first', async () => {
    await store.create(keyRecord());
    expect(await codeOf(store.create(keyRecord({ name: 'another' })))).to.equal('conflict');
    expect((await store.get('AAAAAAAAAAAA'))?.name).to.equal('a caller');
  });

  it('lists all keys, the oldest first', async () => {
    await store.create(keyRecord({ id: 'NEWNEWNEWNEW', createdAtMs: 2 }));
    await store.create(keyRecord({ id: 'OLDOLDOLDOLD', createdAtMs: 1 }));
    expect((await store.list()).map(({ id }) => id)).to.deep.equal(['OLDOLDOLDOLD', 'NEWNEWNEWNEW']);
  });

  it('revokes once: the first time stays', async () => {
    await store.create(keyRecord());
    expect(await store.revoke('AAAAAAAAAAAA', 10)).to.equal('revoked');
    expect(await store.revoke('AAAAAAAAAAAA', 20)).to.equal('already_revoked');
    expect((await store.get('AAAAAAAAAAAA'))?.revokedAtMs).to.equal(10);
    expect((await store.list())[0]?.revokedAtMs).to.equal(10);
  });

  it('says when there is nothing to revoke', async () => {
    expect(await store.revoke('ZZZZZZZZZZZZ', 10)).to.equal('unknown');
  });
}
