import { expect } from 'chai';
import { copyFile, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { packageRoot } from '../../src/dev/package-root.ts';
import { runProgram } from '../support/run-program.ts';

describe('.ci/run', () => {
  let root: string;

  beforeEach(async () => {
    root = await mkdtemp(join(tmpdir(), 'millrace ci '));
    await mkdir(join(root, '.ci'));
    await copyFile(join(packageRoot, '.ci', 'run'), join(root, '.ci', 'run'));
  });
  afterEach(() => rm(root, { recursive: true, force: true }));

  /** Runs it on a package whose test command is `script`, from somewhere else. */
  async function run(script: string): Promise<{ code: number | null; last: string | undefined }> {
    await writeFile(join(root, 'package.json'), JSON.stringify({ scripts: { test: script } }));
    const { code, stdout } = await runProgram(join(root, '.ci', 'run'), [], { cwd: tmpdir() });
    return { code, last: stdout.trimEnd().split('\n').at(-1) };
  }

  it('ends with the line of the reporter', async () => {
    expect(await run("echo '12 passed, 0 failed'")).to.deep.equal({ code: 0, last: '12 passed, 0 failed' });
  });

  it('ends with that line also where npm has the last word', async () => {
    const outcome = await run("echo '12 passed, 2 failed'; exit 2");
    expect(outcome).to.deep.equal({ code: 2, last: '12 passed, 2 failed' });
  });

  it('counts a failure when the tests did not get that far', async () => {
    expect(await run('echo src is not formatted; exit 1')).to.deep.equal({
      code: 1,
      last: '0 passed, 1 failed',
    });
  });

  it('does not take silence for success', async () => {
    expect(await run('true')).to.deep.equal({ code: 1, last: '0 passed, 1 failed' });
  });

  it('counts a failure when all tests passed and it ended badly', async () => {
    const outcome = await run("echo '12 passed, 0 failed, 1 skipped'; exit 1");
    expect(outcome).to.deep.equal({ code: 1, last: '12 passed, 1 failed, 1 skipped' });
  });
});
