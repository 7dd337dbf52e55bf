import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';

/** `npm run check`: everything that can be said of the code without running the system. Started all at once. */
const checks: readonly [name: string, command: string, args: readonly string[]][] = [
  ['types', 'tsc', ['--noEmit']],
  ['lint', 'oxlint', ['--type-aware']],
  ['format', 'biome', ['format', '--reporter=summary']],
  ['import rules', 'mocha', mochaArgs('test/architecture.test.ts')],
  ['catalogues', 'mocha', mochaArgs('test/catalogues.test.ts')],
];

/** Without .mocharc.json, whose hooks start a Redis that these two do not need; a busy machine takes its time. */
function mochaArgs(file: string): string[] {
  const options = ['--no-config', '--extension', 'ts', '--reporter', 'dot', '--forbid-only'];
  return [...options, '--timeout', '60000', file];
}

/** Enough to see what is wrong; the rest is one command away. */
const shownLinesMax = 60;

interface Outcome {
  readonly passed: boolean;
  readonly output: string;
}

const root = fileURLToPath(new URL('../', import.meta.url));

async function run(command: string, args: readonly string[]): Promise<Outcome> {
  const path = `${root}node_modules/.bin:${process.env['PATH'] ?? ''}`;
  const child = spawn(command, args, {
    cwd: root,
    env: { ...process.env, PATH: path },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (chunk: Buffer) => (output += chunk.toString()));
  return new Promise((resolve) => {
    child.once('error', (error) => resolve({ passed: false, output: error.message }));
    child.once('close', (code) => resolve({ passed: code === 0, output }));
  });
}

const startedAtMs = performance.now();
const running = checks.map(([name, command, args]) => ({ name, command, args, outcome: run(command, args) }));
for (const { name, command, args, outcome } of running) {
  const { passed, output } = await outcome;
  console.log(`${passed ? '✓' : '✗'} ${name}`);
  if (passed) continue;
  process.exitCode = 1;
  const lines = output.trim().split('\n');
  for (const line of lines.slice(0, shownLinesMax)) console.log(`    ${line}`);
  const hidden = lines.length - shownLinesMax;
  if (hidden > 0) console.log(`    … and ${hidden} more lines: npx ${command} ${args.join(' ')}`);
}
console.log(
  `${process.exitCode === undefined ? 'all passed' : 'failed'} in ${((performance.now() - startedAtMs) / 1000).toFixed(1)} s`,
);
