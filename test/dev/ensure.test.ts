import { expect } from 'chai';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createHash } from 'node:crypto';
import {
  chmod,
  copyFile,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  realpath,
  rm,
  symlink,
  writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { packageRoot } from '../../src/dev/package-root.ts';
import { runProgram } from '../support/run-program.ts';
import type { ProgramEnd } from '../support/run-program.ts';

/** A package with one dependency, in a folder of its own, that stands for Node: npm needs no network for it. */
describe('scripts/ensure.cjs', () => {
  let root: string;

  beforeEach(async () => {
    root = await realpath(await mkdtemp(join(tmpdir(), 'millrace ensure ')));
    await mkdir(join(root, 'scripts'));
    await copyFile(join(packageRoot, 'scripts', 'ensure.cjs'), join(root, 'scripts', 'ensure.cjs'));
    await writePackage('24.0.0');
  });
  afterEach(() => rm(root, { recursive: true, force: true }));

  async function writePackage(version: string): Promise<void> {
    const bin = { node: 'node.sh' };
    await mkdir(join(root, 'stand-in'), { recursive: true });
    await writeJson('stand-in/package.json', { name: 'node', version, bin });
    await writeFile(join(root, 'stand-in', 'node.sh'), `#!/bin/sh\necho v${version}\n`);
    await chmod(join(root, 'stand-in', 'node.sh'), 0o755);
    const devDependencies = { node: 'file:stand-in' };
    const scripts = { postinstall: 'echo installed >> installs.txt' };
    await writeJson('package.json', { name: 'sample', version: '1.0.0', scripts, devDependencies });
    await writeJson('package-lock.json', {
      name: 'sample',
      version: '1.0.0',
      lockfileVersion: 3,
      requires: true,
      packages: {
        '': { name: 'sample', version: '1.0.0', hasInstallScript: true, devDependencies },
        'node_modules/node': { resolved: 'stand-in', link: true },
        'stand-in': { name: 'node', version, dev: true, bin },
      },
    });
  }

  async function writeJson(file: string, content: unknown): Promise<void> {
    await writeFile(join(root, file), JSON.stringify(content));
  }

  function ensure(...nodeFlags: string[]): Promise<ProgramEnd> {
    return runProgram(process.execPath, [...nodeFlags, join(root, 'scripts', 'ensure.cjs')], {
      cwd: tmpdir(),
    });
  }

  async function installs(): Promise<number> {
    const lines = await readFile(join(root, 'installs.txt'), 'utf8').catch(() => '');
    return lines.split('\n').length - 1;
  }

  it('installs what is missing, once, and says so', async () => {
    const first = await ensure();
    expect(first).to.deep.include({ code: 0, stderr: '' });
    expect(first.stdout).to.match(/… installing packages .*\n {2}✓ installing packages \(\d+ s\)\n$/);
    const second = await ensure();
    expect(second).to.deep.equal({ code: 0, signal: null, stdout: '', stderr: '' });
    expect(await installs()).to.equal(1);
  });

  it('installs again when the lock file names another version', async () => {
    await ensure();
    await writePackage('24.1.0');
    const again = await ensure();
    expect(again.stdout).to.include('✓ installing packages');
    expect(await installs()).to.equal(2);
  });

  it('does not install again what somebody installed by hand', async () => {
    await runProgram('npm', ['ci'], { cwd: root });
    expect(await installs()).to.equal(1);
    expect(await ensure()).to.deep.include({ code: 0, stdout: '' });
    expect(await installs()).to.equal(1);
  });

  it('lets one of several install that start together', async () => {
    const ends = await Promise.all([ensure(), ensure(), ensure()]);
    expect(ends.map(({ code }) => code)).to.deep.equal([0, 0, 0]);
    expect(ends.filter(({ stdout }) => stdout.includes('✓'))).to.have.length(1);
    expect(await installs()).to.equal(1);
  });

  it('takes over the lock of a process that is gone', async () => {
    const gone = spawn('true');
    await once(gone, 'exit');
    const digest = createHash('sha256').update(root).digest('hex').slice(0, 16);
    await writeFile(join(tmpdir(), `millrace-install-${digest}.lock`), String(gone.pid));
    expect(await ensure()).to.deep.include({ code: 0 });
    expect(await installs()).to.equal(1);
  });

  it('passes on what npm says when it fails, and one sentence', async () => {
    await writeJson('package.json', { name: 'sample', version: '1.0.0', dependencies: { absent: '1.0.0' } });
    const { code, stderr } = await ensure();
    expect(code).to.equal(1);
    expect(stderr).to.match(/npm error[^]*\nThe packages could not be installed: npm says why above\.\n$/);
  });

  it('refuses a Node that the package was not made for', async () => {
    await writePackage('22.0.0');
    const { code, stderr } = await ensure();
    expect(code).to.equal(1);
    expect(stderr).to.equal('The Node 24 that npm installed does not run here: it printed v22.0.0.\n');
  });

  it('leaves alone what a link named node_modules leads to', async () => {
    const elsewhere = join(root, 'elsewhere');
    await mkdir(join(elsewhere, 'precious'), { recursive: true });
    await symlink(elsewhere, join(root, 'node_modules'));
    const { code, stderr } = await ensure();
    expect(code).to.equal(1);
    expect(stderr).to.include('node_modules is a link: npm would empty the folder that it leads to');
    expect(await readdir(elsewhere)).to.deep.equal(['precious']);
  });

  it('says in one sentence that a Node is too old', async () => {
    await writeFile(
      join(root, 'old.cjs'),
      "Object.defineProperty(process, 'versions', { value: { node: '18.20.0' } });",
    );
    const { code, stderr } = await ensure('--require', join(root, 'old.cjs'));
    expect(code).to.equal(1);
    expect(stderr).to.equal('Millrace needs Node 20 or newer to start; this is Node 18.20.0.\n');
  });
});
