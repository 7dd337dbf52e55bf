import { expect } from 'chai';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { BatchObject } from '../../src/cli/batch-object.ts';
import { until } from '../../src/dev/readiness.ts';
import { runCli, startCli } from '../cli/support/cli.ts';
import type { RunningCli } from '../cli/support/cli.ts';
import type { ProgramEnd } from '../support/run-program.ts';
import { useStack } from '../support/stack.ts';
import { fixtureModels } from './fixture-models.ts';

interface ResultLine {
  readonly row: number;
  readonly id: string | null;
  readonly line?: number;
  readonly output?: unknown;
  readonly error?: { readonly code: string };
}

function linesOf(text: string): readonly ResultLine[] {
  return text
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as ResultLine);
}

describe('the command line against a whole system', () => {
  const stack = useStack({ models: fixtureModels('gather-strict', 'nonce') });
  let folder: string;
  before(async () => (folder = await mkdtemp(join(tmpdir(), 'millrace-cli-'))));
  after(() => rm(folder, { recursive: true }));

  const options = () => ({
    cwd: folder,
    env: { MILLRACE_URL: stack().url, MILLRACE_API_KEY: stack().key },
  });
  const run = (line: string, stdin = ''): Promise<ProgramEnd> =>
    runCli(line.split(' '), { ...options(), stdin });
  const start = (line: string): RunningCli => startCli(line.split(' '), options());

  async function newestBatch(): Promise<BatchObject | undefined> {
    const { stdout } = await run('batch list --limit 1 --json');
    return (JSON.parse(stdout) as readonly BatchObject[])[0];
  }

  it('is a filter: rows in, results out in their order, with ids and the lines of those that fail', async () => {
    const rows = ['3', '{"id": "mine", "inputs": 4}', '"x"', '', '5'].join('\n');
    const { code, stdout } = await run('batch submit - -m gather-strict -o -', rows);
    expect(code).to.equal(1);
    const [first, second, third, fourth] = linesOf(stdout);
    expect(first).to.include({ row: 0, id: null, output: 103 });
    expect(second).to.include({ row: 1, id: 'mine', output: 104 });
    expect(third).to.include({ row: 2, line: 3 });
    expect(third?.error?.code).to.equal('invalid_input');
    expect(fourth).to.include({ row: 3, output: 105 });
  });

  it('runs failed rows again as a batch of their own, with their ids', async () => {
    const rows = '1\n{"id": "beyond", "inputs": 10007}\n2\n';
    const submitted = await run('batch submit - -m gather-strict --watch', rows);
    expect(submitted.code).to.equal(1);
    const { code, stdout } = await run(`batch retry ${submitted.stdout.trim()} --watch`);
    expect(code).to.equal(1);
    const results = await run(`batch results ${stdout.trim()}`);
    expect(linesOf(results.stdout)).to.have.lengthOf(1);
    expect(linesOf(results.stdout)[0]).to.deep.include({ row: 0, id: 'beyond', line: 2 });
    expect(results.stdout).to.include('10007');
  });

  it('is one batch however often a key is used, and says so of another body', async () => {
    const submit = 'batch submit - -m gather-strict --idempotency-key night';
    const [first, second] = [await run(submit, '1\n2\n'), await run(submit, '1\n2\n')];
    expect(first.code).to.equal(0);
    expect(second.stdout).to.equal(first.stdout);
    expect(await run(submit, '1\n3\n')).to.deep.include({ code: 3, stdout: '' });
  });

  it('holds, lets go on and cancels', async () => {
    const cli = start('batch submit - -m gather-strict');
    cli.child.stdin.write('1\n'.repeat(50_000));
    await until(async () => (await newestBatch())?.counts.total === null, AbortSignal.timeout(15_000));
    const id = (await newestBatch())?.id;
    expect((await run(`batch pause ${id}`)).stdout).to.include(', paused');
    cli.child.stdin.end('1\n'.repeat(50_000));
    expect((await cli.ended).stdout.trim()).to.equal(id);
    const held = await run(`batch results ${id}`);
    expect(held.stderr).to.include('The batch goes on');
    expect((await run(`batch resume ${id}`)).stdout).not.to.include('paused');
    expect((await run(`batch status ${id} -w`)).code).to.equal(0);
    expect((await run(`batch cancel ${id}`)).stdout, 'it has ended already').to.include('completed');
    expect((await run(`batch pause ${id}`)).code).to.equal(3);
  });

  it('brings an upload, its progress and its results through the end of the API', async function () {
    this.timeout(60_000);
    const rowCount = 200_000;
    await writeFile(join(folder, 'rows.ndjson'), '1\n2\n'.repeat(rowCount / 2));
    const [api] = stack().apis;
    const before = (await newestBatch())?.id;
    const cli = start('batch submit rows.ndjson -m gather-strict -o results.ndjson');
    await until(async () => (await newestBatch())?.id !== before, AbortSignal.timeout(15_000));
    await api?.kill('SIGKILL');
    api?.start();
    const { code, stderr } = await cli.ended;
    expect(code, stderr).to.equal(0);
    const results = linesOf(await readFile(join(folder, 'results.ndjson'), 'utf8'));
    expect(results).to.have.lengthOf(rowCount);
    expect(results.every(({ row, output }, index) => row === index && output === 101 + (index % 2))).to.equal(
      true,
    );
  });
});
