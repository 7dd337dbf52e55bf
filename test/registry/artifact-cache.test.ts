import { expect } from 'chai';
import { readFile, readdir, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ArtifactCache } from '../../src/registry/artifact-cache.ts';
import type { ArtifactStore } from '../../src/registry/artifact-store.ts';
import { digestOf } from '../../src/registry/digest.ts';
import { FolderArtifactStore } from '../../src/registry/folder-artifact-store.ts';
import { codeOf } from '../contracts/store.ts';
import { useFolder } from './folder.ts';

describe('ArtifactCache', () => {
  const folder = useFolder();
  const cacheFolder = (): string => join(folder(), 'cache');
  let fetched: string[];
  let store: ArtifactStore;

  beforeEach(() => {
    fetched = [];
    const remote = new FolderArtifactStore(join(folder(), 'remote'));
    store = {
      put: (bytes) => remote.put(bytes),
      has: (digest) => remote.has(digest),
      remove: (digest) => remote.remove(digest),
      get: (digest) => {
        fetched.push(digest);
        return remote.get(digest);
      },
    };
  });

  function open(bytesMax = 1_000): ArtifactCache {
    return new ArtifactCache({ store, folder: cacheFolder(), bytesMax });
  }

  const putAll = (...letters: string[]): Promise<string[]> =>
    Promise.all(letters.map((letter) => store.put(Buffer.alloc(400, letter))));

  it('fetches once, also for callers at the same time', async () => {
    const [digest = ''] = await putAll('a');
    const cache = open();
    const paths = await Promise.all([cache.ensureLocal(digest), cache.ensureLocal(digest)]);
    expect(await cache.ensureLocal(digest)).to.equal(paths[0]);
    expect(fetched).to.deep.equal([digest]);
    expect(digestOf(await readFile(paths[1]))).to.equal(digest);
  });

  it('fetches again what was damaged on disk', async () => {
    const [digest = ''] = await putAll('a');
    const cache = open();
    const path = await cache.ensureLocal(digest);
    await writeFile(path, 'damaged');
    await cache.ensureLocal(digest);
    expect(digestOf(await readFile(path))).to.equal(digest);
    expect(fetched).to.deep.equal([digest, digest]);
  });

  it('removes the least recently used file past its limit', async () => {
    const [a = '', b = '', c = ''] = await putAll('a', 'b', 'c');
    const cache = open();
    for (const digest of [a, b, a, c]) {
      await cache.ensureLocal(digest);
      cache.release(digest);
    }
    expect(await readdir(cacheFolder())).to.have.members([a, c]);
  });

  it('never removes a file in use', async () => {
    const [a = '', b = '', c = ''] = await putAll('a', 'b', 'c');
    const cache = open();
    await cache.ensureLocal(a);
    await cache.ensureLocal(b);
    cache.release(b);
    await cache.ensureLocal(c);
    expect(await readdir(cacheFolder())).to.have.members([a, c]);
  });

  it('keeps what an earlier run left, oldest first to go, and clears away half files', async () => {
    const [a = '', b = '', c = ''] = await putAll('a', 'b', 'c');
    const before = open();
    await before.ensureLocal(a);
    await before.ensureLocal(b);
    await utimes(join(cacheFolder(), b), 1, 1);
    await writeFile(join(cacheFolder(), `${a}.123.tmp`), 'half');
    const cache = open();
    await cache.ensureLocal(c);
    expect(await readdir(cacheFolder())).to.have.members([a, c]);
    await cache.ensureLocal(a);
    expect(fetched).to.deep.equal([a, b, c]);
  });

  it('passes on what the store throws, and tries again', async () => {
    const cache = open();
    const bytes = Buffer.alloc(10, 'z');
    expect(await codeOf(cache.ensureLocal(digestOf(bytes)))).to.equal('not_found');
    expect(await codeOf(cache.ensureLocal('../escape'))).to.equal('not_found');
    await store.put(bytes);
    expect(await readFile(await cache.ensureLocal(digestOf(bytes)))).to.deep.equal(bytes);
  });
});
