import { packageRoot } from '../../../src/dev/package-root.ts';
import { runProgram } from '../../support/run-program.ts';
import type { Stack } from '../../support/stack.ts';

/** A caller of the same stack with a key of its own, which has no rate limit and sees its own batches alone. */
export async function otherCaller(stack: Stack): Promise<Pick<Stack, 'apis' | 'key'>> {
  const args = ['create', '--name', 'other', '--scopes', 'predict,batch', '--rate', '0', '--json'];
  // A MILLRACE_* of this run is no setting.
  const inherited = Object.entries(process.env).filter(([name]) => !name.startsWith('MILLRACE_'));
  const env = { ...Object.fromEntries(inherited), MILLRACE_HOME: stack.home };
  const { code, stdout, stderr } = await runProgram(process.execPath, ['src/api/keys/main.ts', ...args], {
    cwd: packageRoot,
    env,
  });
  if (code !== 0) throw new Error(`no key was made:\n${stderr}`);
  const { key } = JSON.parse(stdout) as { readonly key: string };
  return { apis: stack.apis, key };
}
