import { expect } from 'chai';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { packageRoot } from '../../src/dev/package-root.ts';
import { devKeyFile } from '../../src/run-file.ts';
import { runProgram } from '../support/run-program.ts';
import { useStack } from '../support/stack.ts';

/** A piece of the guide that can be pasted, and what the guide says that it prints. */
interface Example {
  readonly line: number;
  readonly script: string;
  readonly output: string | null;
}

function examplesOf(page: string): readonly Example[] {
  const blocks = /^```sh\n([^]*?)^```\n(?:\n```(?:json)?\n([^]*?)^```\n)?/gm;
  return [...page.matchAll(blocks)].map((match) => ({
    line: page.slice(0, match.index).split('\n').length + 1,
    script: match[1] ?? '',
    output: match[2] ?? null,
  }));
}

/** What differs from run to run. Lines that the guide cuts short by an ellipsis match what they begin with. */
function normal(text: string): string {
  return text
    .replaceAll(/batch_[0-9A-Z]{26}/g, 'batch_ID')
    .replaceAll(/pred_[0-9a-zA-Z]+/g, 'pred_ID')
    .replaceAll(/\b\d+ ms/g, 'N ms')
    .replaceAll(/"processing_time_ms":[\d.]+/g, '"processing_time_ms":N')
    .replaceAll(/^id: \d+$/gm, 'id: N')
    .replaceAll(/^data: .*$/gm, 'data: …')
    .replaceAll('\r\n', '\n')
    .trimEnd();
}

describe('docs/batch.md', () => {
  const stack = useStack();
  let folder: string;

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'millrace-guide-'));
    await mkdir(join(folder, '.millrace'));
    await writeFile(devKeyFile(join(folder, '.millrace')), `${stack().key}\n`);
  });
  after(() => rm(folder, { recursive: true }));

  it('has examples that work in their order, and print what it says', async function () {
    this.timeout(120_000);
    const { url } = stack();
    const examples = examplesOf(await readFile(join(packageRoot, 'docs', 'batch.md'), 'utf8'));
    expect(examples.length).to.be.greaterThan(5);
    const guideId = /batch_[0-9A-Z]{26}/.exec(examples[0]?.output ?? '')?.[0] ?? 'none';
    let id = guideId;
    let setUp = '';
    for (const { line, script, output } of examples) {
      const command = `${setUp}${script}`
        .replaceAll('npx millrace', `'${process.execPath}' '${packageRoot}bin/millrace.cjs'`)
        .replaceAll('http://127.0.0.1:8080', url)
        .replaceAll(guideId, id);
      // One after the other: each works with what those before it have made.
      // oxlint-disable-next-line no-await-in-loop
      const end = await runProgram('bash', ['-c', `exec 2>&1\n${command}`], {
        cwd: folder,
        env: { PATH: process.env['PATH'], MILLRACE_URL: url },
      });
      const where = `docs/batch.md:${line}\n${end.stdout}`;
      expect(end.stdout, where).not.to.match(/"code":"(?!invalid_input)|^4\d\d |^5\d\d |not found/m);
      if (output !== null) expect(normal(end.stdout), where).to.equal(normal(output));
      if (id === guideId) id = /batch_[0-9A-Z]{26}/.exec(end.stdout)?.[0] ?? id;
      // What an example exports holds for those after it, as in a terminal.
      setUp += script
        .split('\n')
        .filter((row) => row.startsWith('export '))
        .map((row) => `${row}\n`)
        .join('');
    }
  });
});
