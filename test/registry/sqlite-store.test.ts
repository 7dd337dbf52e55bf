import { expect } from 'chai';
import { spawn } from 'node:child_process';
import type { ChildProcessByStdio } from 'node:child_process';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import process from 'node:process';
import { createInterface } from 'node:readline';
import { DatabaseSync } from 'node:sqlite';
import type { Readable, Writable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { MillraceError } from '../../src/errors.ts';
import { SqliteStore } from '../../src/registry/sqlite-store.ts';
import { describeModelStore, draftVersion } from '../contracts/store.ts';
import { useFolder } from './folder.ts';

describe('SqliteStore', () => {
  const folder = useFolder();
  const path = (): string => join(folder(), 'registry.db');

  describe('as a model store', () => describeModelStore(() => new SqliteStore(path())));

  it('keeps what it holds over processes and restarts', async () => {
    const first = new SqliteStore(path());
    await first.putVersion(draftVersion());
    const second = new SqliteStore(path());
    expect((await second.listModels()).length).to.equal(1);
    await first.close();
    await second.close();
  });

  it('lets processes race: one creates, none loses or repeats a version', async () => {
    const writers = ['a', 'b', 'c'];
    const count = 8;
    const racers = await Promise.all(writers.map((writer) => startRacer(path(), writer, count)));
    const outcomes = await Promise.all(racers.map((racer) => racer.go()));
    expect(outcomes.map((kinds) => kinds[0])).to.have.members(['created', 'exists', 'exists']);
    expect(outcomes.map((kinds) => kinds[1])).to.have.members(['conflict', 'conflict', 'created']);
    const store = new SqliteStore(path());
    const model = await store.getModel('wine');
    const numbered = (model?.versions ?? []).map((version) => Number(version.version)).filter((n) => n > 0);
    expect(numbered).to.deep.equal(Array.from({ length: writers.length * count }, (_, index) => index + 1));
    expect(model?.aliases).to.have.keys('default', 'newest');
    expect(model?.aliases['default']).to.equal('shared');
    // Each version but the first sets no alias by itself; each numbered one is followed by an alias move.
    expect(await store.revision()).to.equal(2 + 2 * writers.length * count);
    await store.close();
  });

  it('refuses a file of a newer release', async () => {
    const db = new DatabaseSync(path());
    db.exec('PRAGMA user_version = 1000');
    db.close();
    expect(codeOfOpening(path())).to.equal('bad_gateway');
  });

  it('refuses a file that is no database, and a folder that does not exist', async () => {
    await writeFile(path(), 'x'.repeat(8192));
    expect(codeOfOpening(path())).to.equal('bad_gateway');
    expect(codeOfOpening(join(folder(), 'absent', 'registry.db'))).to.equal('service_unavailable');
  });
});

function codeOfOpening(path: string): string {
  try {
    new SqliteStore(path);
  } catch (error) {
    if (MillraceError.is(error)) return error.code;
    throw error;
  }
  throw new Error('it was opened');
}

interface Racer {
  go(): Promise<readonly string[]>;
}

async function startRacer(path: string, writer: string, count: number): Promise<Racer> {
  const script = fileURLToPath(new URL('./put-version.ts', import.meta.url));
  const child: ChildProcessByStdio<Writable, Readable, null> = spawn(
    process.execPath,
    [script, path, writer, String(count)],
    { stdio: ['pipe', 'pipe', 'inherit'] },
  );
  const lines = createInterface({ input: child.stdout });
  await once(lines, 'line');
  return {
    go: async () => {
      const exited = once(child, 'exit');
      const answer = once(lines, 'line') as Promise<[string]>;
      child.stdin.write('go\n');
      const [line] = await answer;
      await exited;
      return JSON.parse(line) as string[];
    },
  };
}
