/**
 * `node src/dev/ensure-redis.ts`: run by scripts/ensure.cjs before the tests, which start and kill servers of
 * their own and so need a binary; installed the way `npm start` does it.
 */
import { createOutput } from './output.ts';
import { findRedis } from './find-redis.ts';

const output = createOutput(process.stdout);
const found = await findRedis({
  url: undefined,
  path: process.env['PATH'] ?? '',
  isRoot: process.getuid?.() === 0,
  allowDocker: false,
  announce: (sentence) => output.line(`  … ${sentence}`),
});
if (found.kind === 'none') {
  process.stderr.write(`${found.sentence}\n`);
  process.exitCode = 1;
}
