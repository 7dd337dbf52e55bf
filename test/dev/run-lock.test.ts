import { expect } from 'chai';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { acquireRunLock } from '../../src/dev/run-lock.ts';
import { packageRoot } from '../../src/dev/package-root.ts';

const holder = `
import { acquireRunLock } from ${JSON.stringify(join(packageRoot, 'src/dev/run-lock.ts'))};
console.log(acquireRunLock(process.argv[1]) === undefined ? 'refused' : 'held');
setInterval(() => {}, 60_000);
`;

describe('run lock', () => {
  let home: string;
  beforeEach(async () => {
    home = await mkdtemp(join(tmpdir(), 'millrace lock '));
  });
  afterEach(() => rm(home, { recursive: true, force: true }));

  it('is held by one at a time, and free again after its release', () => {
    const first = acquireRunLock(home);
    expect(first).not.to.equal(undefined);
    expect(acquireRunLock(home)).to.equal(undefined);
    first?.release();
    const second = acquireRunLock(home);
    expect(second).not.to.equal(undefined);
    second?.release();
  });

  it('is free at once when its holder is killed', async () => {
    const other = spawn(process.execPath, ['--input-type=module', '-e', holder, home], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const exited = once(other, 'exit');
    const [said] = (await once(other.stdout, 'data')) as [Buffer];
    expect(said.toString().trim()).to.equal('held');
    expect(acquireRunLock(home)).to.equal(undefined);
    other.kill('SIGKILL');
    await exited;
    const mine = acquireRunLock(home);
    expect(mine).not.to.equal(undefined);
    mine?.release();
  });
});
