import { expect } from 'chai';
import { cp, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { packageRoot } from '../../src/dev/package-root.ts';
import { runProgram } from '../support/run-program.ts';

/** bin/millrace.cjs in a folder of its own, where it finds what a package or a clone has. */
describe('bin/millrace.cjs', () => {
  let folder: string;
  let old: string;

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'millrace bin '));
    old = join(folder, 'old.cjs');
    // A main that is told of by its argument stays new: only the launcher's own process is the old one.
    await writeFile(old, "Object.defineProperty(process, 'versions', { value: { node: '20.0.0' } });");
  });
  afterEach(() => rm(folder, { recursive: true }));

  async function copyTo(place: string): Promise<string> {
    for (const part of [
      'bin',
      'src/cli',
      'src/errors.ts',
      'src/run-file.ts',
      'package.json',
      'scripts/ensure.cjs',
    ])
      await cp(join(packageRoot, part), join(place, part), { recursive: true });
    return join(place, 'bin', 'millrace.cjs');
  }

  const version = async () => {
    const text = await readFile(join(packageRoot, 'package.json'), 'utf8');
    return `millrace ${(JSON.parse(text) as { version: string }).version}\n`;
  };

  it('runs where npm has installed it as a package, without a word more', async () => {
    const bin = await copyTo(join(folder, 'node_modules', 'millrace'));
    const end = await runProgram(process.execPath, [bin, '--version']);
    expect(end).to.deep.equal({ code: 0, signal: null, stdout: await version(), stderr: '' });
  });

  it('runs by a link, as npx makes one', async () => {
    const bin = await copyTo(join(folder, 'clone'));
    await symlink(bin, join(folder, 'millrace'));
    const end = await runProgram(process.execPath, [join(folder, 'millrace'), '--version']);
    expect(end).to.deep.equal({ code: 0, signal: null, stdout: await version(), stderr: '' });
  });

  it('takes the Node of the clone when the system has an older one, and passes its exit code on', async () => {
    const bin = await copyTo(join(folder, 'clone'));
    await mkdir(join(folder, 'clone', 'node_modules', '.bin'), { recursive: true });
    await symlink(process.execPath, join(folder, 'clone', 'node_modules', '.bin', 'node'));
    const run = (...args: string[]) => runProgram(process.execPath, ['--require', old, bin, ...args]);
    expect(await run('--version')).to.deep.include({ code: 0, stdout: await version(), stderr: '' });
    expect(await run('frob')).to.deep.include({ code: 2, stdout: '' });
  });

  it('says what an installed package needs', async () => {
    const bin = await copyTo(join(folder, 'node_modules', 'millrace'));
    const { code, stdout, stderr } = await runProgram(process.execPath, ['--require', old, bin]);
    expect({ code, stdout }).to.deep.equal({ code: 2, stdout: '' });
    expect(stderr).to.match(/^millrace needs Node 24 or newer; this is Node 20\.0\.0\. npx -p node@24 /);
  });
});
