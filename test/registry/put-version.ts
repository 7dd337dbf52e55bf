import process from 'node:process';
import { SqliteStore } from '../../src/registry/sqlite-store.ts';
import { draftVersion } from '../contracts/store.ts';

/** A process of the race in sqlite-store.test.ts: waits for a line, then puts versions and moves an alias. */
const [path, writer, count] = process.argv.slice(2) as [string, string, string];
const outcomes: string[] = [];
process.stdout.write('ready\n');
process.stdin.once('data', () => void race());

async function race(): Promise<void> {
  const store = new SqliteStore(path);
  const named = await store.putVersion(draftVersion({ version: 'shared', createdBy: writer }));
  outcomes.push(named.kind);
  const other = draftVersion({ version: 'taken', digest: `${writer}f`.repeat(32), createdBy: writer });
  outcomes.push((await store.putVersion(other)).kind);
  for (let index = 0; index < Number(count); index++) {
    const digest = `${writer}${index}`.padEnd(64, '0');
    const { version } = await store.putVersion(draftVersion({ digest, createdBy: writer }));
    await store.setAlias('wine', 'newest', version.version);
  }
  await store.close();
  process.stdout.write(`${JSON.stringify(outcomes)}\n`);
  process.stdin.destroy();
}
