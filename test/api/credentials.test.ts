import { expect } from 'chai';
import { Credentials, hasScope } from '../../src/api/credentials.ts';
import { issueKey } from '../../src/api/keys/issue-key.ts';
import type { KeyRecord, KeyStore } from '../../src/api/keys/key-store.ts';
import { scopes } from '../../src/api/keys/scopes.ts';
import { SqliteKeyStore } from '../../src/api/keys/sqlite-key-store.ts';
import { codeOf } from '../contracts/store.ts';

/** The real store, which counts how often it is asked. */
class CountingStore implements KeyStore {
  readonly #store = new SqliteKeyStore(':memory:');
  reads = 0;
  broken = false;

  create(record: KeyRecord): Promise<void> {
    return this.#store.create(record);
  }
  async get(id: string): Promise<KeyRecord | undefined> {
    this.reads += 1;
    if (this.broken) throw new Error('disk /secret/path is gone');
    return this.#store.get(id);
  }
  list(): Promise<readonly KeyRecord[]> {
    return this.#store.list();
  }
  revoke(id: string, atMs: number) {
    return this.#store.revoke(id, atMs);
  }
  close(): Promise<void> {
    return this.#store.close();
  }
}

describe('Credentials', () => {
  let store: CountingStore;
  let credentials: Credentials;
  let nowMs = 0;
  let key = '';
  let id = '';

  beforeEach(async () => {
    store = new CountingStore();
    nowMs = 1000;
    credentials = new Credentials({ keys: store, cacheMs: 5000, now: () => nowMs });
    const issued = await issueKey(
      store,
      { name: 'ci', scopes: ['predict'], environment: 'test', ratePerMinute: 7, expiresAtMs: null },
      nowMs,
    );
    key = issued.key;
    id = issued.record.id;
  });
  afterEach(() => store.close());

  const ask = async (presented: string) => credentials.authenticate({ 'x-api-key': presented });

  it('turns a key into a principal with its scopes and its limit', async () => {
    const principal = await ask(key);
    expect(principal).to.include({ id, name: 'ci', ratePerMinute: 7 });
    expect([...principal.scopes]).to.deep.equal(['predict']);
  });

  it('asks the store once and tells at once from then on', async () => {
    expect(credentials.recall({ 'x-api-key': key })).to.equal(undefined);
    const principal = await ask(key);
    expect(credentials.recall({ 'x-api-key': key })).to.equal(principal);
    await ask(key);
    expect(store.reads).to.equal(1);
  });

  it('is familiar with a key whose verdict is too old, until it is found to be wrong', async () => {
    const headers = { 'x-api-key': key };
    expect(credentials.familiar(headers)).to.equal(false);
    await ask(key);
    await store.revoke(id, nowMs);
    nowMs += 5000;
    expect(credentials.recall(headers)).to.equal(undefined);
    expect(credentials.familiar(headers)).to.equal(true);
    expect(await codeOf(ask(key))).to.equal('unauthorized');
    expect(credentials.familiar(headers)).to.equal(false);
    expect(credentials.recall(headers)).to.equal(undefined);
  });

  it('sees a revocation once the verdict is older than cacheMs', async () => {
    await ask(key);
    await store.revoke(id, nowMs);
    nowMs += 4999;
    await ask(key);
    nowMs += 1;
    expect(await codeOf(ask(key))).to.equal('unauthorized');
  });

  it('asks again when the clock was set back: a verdict must not outlive its time by that much', async () => {
    await ask(key);
    await store.revoke(id, nowMs);
    nowMs -= 1;
    expect(await codeOf(ask(key))).to.equal('unauthorized');
  });

  it('ends a key at its expiry, also while its verdict is kept', async () => {
    const request = { name: 'a', scopes: ['predict'], environment: 'test', ratePerMinute: null } as const;
    const { key: short } = await issueKey(store, { ...request, expiresAtMs: 2000 }, nowMs);
    await ask(short);
    nowMs = 1999;
    await ask(short);
    nowMs = 2000;
    expect(await codeOf(ask(short))).to.equal('unauthorized');
  });

  it('does no I/O for a key whose checksum is wrong', async () => {
    expect(await codeOf(ask(`${key.slice(0, -8)}00000000`))).to.equal('unauthorized');
    expect(await codeOf(ask('k'.repeat(1_000_000)))).to.equal('unauthorized');
    expect(store.reads).to.equal(0);
  });

  it('asks once for an unknown key, and again when the verdict is old', async () => {
    const other = new SqliteKeyStore(':memory:');
    const request = { name: 'a', scopes: ['predict'], environment: 'test', ratePerMinute: null } as const;
    const { key: unknown, record } = await issueKey(other, { ...request, expiresAtMs: null }, nowMs);
    await other.close();
    expect(await codeOf(ask(unknown))).to.equal('unauthorized');
    expect(await codeOf(ask(unknown))).to.equal('unauthorized');
    expect(store.reads).to.equal(1);
    await store.create(record);
    nowMs += 5000;
    expect((await ask(unknown)).id).to.equal(record.id);
  });

  it('keeps right keys when ten thousand others were refused', async () => {
    await ask(key);
    const other = new SqliteKeyStore(':memory:');
    const request = { name: 'a', scopes: [], environment: 'test', ratePerMinute: null, expiresAtMs: null };
    const wrong = await Promise.all(Array.from({ length: 10_050 }, () => issueKey(other, request, nowMs)));
    await Promise.all(wrong.map(({ key: each }) => codeOf(ask(each))));
    await other.close();
    const reads = store.reads;
    await ask(key);
    expect(store.reads).to.equal(reads);
  });

  it('keeps no verdict when the store fails', async () => {
    store.broken = true;
    expect(await ask(key).catch((error: Error) => error.message)).to.include('disk');
    store.broken = false;
    expect((await ask(key)).id).to.equal(id);
  });

  it('says what is missing: a key, or an issuer for bearer tokens', async () => {
    const missing = async (authorization?: string) =>
      credentials.authenticate(authorization === undefined ? {} : { authorization });
    const detailsOf = (promise: Promise<unknown>) =>
      promise.then(
        () => undefined,
        (error: { details: unknown }) => error.details,
      );
    expect(await detailsOf(missing())).to.match(/X-API-Key/);
    expect(await detailsOf(missing('Bearer a.b.c'))).to.match(/bearer/);
  });

  it('lets admin do everything and each scope itself only', () => {
    const principal = (held: (typeof scopes)[number]) => ({
      id: 'a',
      name: 'a',
      scopes: new Set([held]),
      ratePerMinute: null,
    });
    for (const held of scopes)
      for (const needed of scopes)
        expect(hasScope(principal(held), needed), `${held} for ${needed}`).to.equal(
          held === needed || held === 'admin',
        );
  });
});
