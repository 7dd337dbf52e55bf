import { expect } from 'chai';
import { createHash } from 'node:crypto';
import type { ArtifactStore } from '../../src/registry/artifact-store.ts';
import { codeOf } from './store.ts';

export interface ArtifactStoreUnderTest {
  readonly store: ArtifactStore;
  /** Spoils what is stored under a digest, as a broken disk would. */
  damage(digest: string): Promise<void>;
}

/** What every ArtifactStore must do. `open` gives an empty one. */
export function describeArtifactStore(open: () => Promise<ArtifactStoreUnderTest>): void {
  let under: ArtifactStoreUnderTest;
  let store: ArtifactStore;
  beforeEach(async () => {
    under = await open();
    store = under.store;
  });

  it('gives back bytes by their SHA-256', async () => {
    for (const bytes of [Buffer.from('model'), Buffer.alloc(0), Buffer.alloc(3_000_000, 7)]) {
      const digest = await store.put(bytes);
      expect(digest).to.equal(createHash('sha256').update(bytes).digest('hex'));
      expect(await store.has(digest)).to.equal(true);
      expect(Buffer.compare(await store.get(digest), bytes)).to.equal(0);
    }
  });

  it('takes the same bytes again, also at the same time', async () => {
    const bytes = Buffer.alloc(100_000, 1);
    const digests = await Promise.all([store.put(bytes), store.put(bytes), store.put(bytes)]);
    expect(new Set(digests).size).to.equal(1);
    expect(Buffer.compare(await store.get(digests[0]), bytes)).to.equal(0);
  });

  it('does not know what it was not given', async () => {
    const digest = 'f'.repeat(64);
    expect(await store.has(digest)).to.equal(false);
    expect(await codeOf(store.get(digest))).to.equal('not_found');
  });

  it('takes no path for a digest', async () => {
    for (const text of ['../../etc/passwd', '', 'F'.repeat(64), `${'a'.repeat(63)}/`]) {
      expect(await store.has(text)).to.equal(false);
      expect(await codeOf(store.get(text))).to.equal('not_found');
    }
  });

  it('removes, and takes the same bytes once more', async () => {
    const bytes = Buffer.from('chunk');
    const digest = await store.put(bytes);
    await store.remove(digest);
    await store.remove(digest);
    await store.remove('../../etc/passwd');
    expect(await store.has(digest)).to.equal(false);
    expect(await codeOf(store.get(digest))).to.equal('not_found');
    await store.put(bytes);
    expect(Buffer.compare(await store.get(digest), bytes)).to.equal(0);
  });

  it('never gives damaged bytes, and is healed by the same bytes', async () => {
    const bytes = Buffer.from('model');
    const digest = await store.put(bytes);
    await under.damage(digest);
    expect(await codeOf(store.get(digest))).to.equal('bad_gateway');
    await store.put(bytes);
    expect(Buffer.compare(await store.get(digest), bytes)).to.equal(0);
  });
}
