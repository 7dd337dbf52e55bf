import { expect } from 'chai';
import { readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { FolderArtifactStore } from '../../src/registry/folder-artifact-store.ts';
import { describeArtifactStore } from '../contracts/artifact-store.ts';
import { codeOf } from '../contracts/store.ts';
import { useFolder } from './folder.ts';

describe('FolderArtifactStore', () => {
  const folder = useFolder();
  const pathOf = (digest: string): string =>
    join(folder(), 'sha256', digest.slice(0, 2), digest.slice(2, 4), digest);

  describe('as an artifact store', () =>
    describeArtifactStore(async () => ({
      store: new FolderArtifactStore(folder()),
      damage: (digest) => writeFile(pathOf(digest), 'damaged'),
    })));

  it('leaves whole files and nothing else', async () => {
    const store = new FolderArtifactStore(folder());
    const bytes = Buffer.alloc(10_000, 3);
    const [digest] = await Promise.all([store.put(bytes), store.put(bytes)]);
    const files = await readdir(folder(), { recursive: true, withFileTypes: true });
    expect(files.filter((entry) => entry.isFile()).map((entry) => entry.name)).to.deep.equal([digest]);
  });

  it('leaves nothing when it cannot write', async () => {
    await writeFile(join(folder(), 'sha256'), 'a file where the folder should be');
    const store = new FolderArtifactStore(folder());
    expect(await codeOf(store.put(Buffer.from('model')))).to.equal('service_unavailable');
    expect(await readdir(folder())).to.deep.equal(['sha256']);
  });

  it('removes with a file what a process left aside that was killed while it wrote it', async () => {
    const store = new FolderArtifactStore(folder());
    const digest = await store.put(Buffer.from('chunk'));
    await writeFile(`${pathOf(digest)}.0e9a.tmp`, 'chu');
    await store.remove(digest);
    const files = await readdir(folder(), { recursive: true, withFileTypes: true });
    expect(files.filter((entry) => entry.isFile())).to.deep.equal([]);
  });

  it('hands out its own file, verified', async () => {
    const store = new FolderArtifactStore(folder());
    const digest = await store.put(Buffer.from('model'));
    expect(await store.ensureLocal(digest)).to.equal(pathOf(digest));
    await writeFile(pathOf(digest), 'damaged');
    expect(await codeOf(store.ensureLocal(digest))).to.equal('bad_gateway');
    expect(await codeOf(store.ensureLocal('0'.repeat(64)))).to.equal('not_found');
  });
});
