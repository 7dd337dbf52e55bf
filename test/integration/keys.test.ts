import { expect } from 'chai';
import { packageRoot } from '../../src/dev/package-root.ts';
import { exampleBody, until } from '../../src/dev/readiness.ts';
import { runProgram } from '../support/run-program.ts';
import { useStack } from '../support/stack.ts';

interface ErrorEnvelope {
  readonly error: { readonly code: string; readonly details: string; readonly request_id: string };
}

const settledTimeoutMs = 15_000;

describe('API keys end to end', () => {
  const stack = useStack({ env: { MILLRACE_KEYS_CACHE_MS: '300' } });

  /** As `npm run keys -- … --json` from the home of the stack. */
  async function keys(...args: readonly string[]): Promise<Record<string, unknown>> {
    const { code, stdout, stderr } = await runProgram(
      process.execPath,
      ['src/api/keys/main.ts', ...args, '--json'],
      { cwd: packageRoot, env: { ...process.env, MILLRACE_HOME: stack().home } },
    );
    expect(code, stderr).to.equal(0);
    return JSON.parse(stdout) as Record<string, unknown>;
  }

  function predictAs(headers: Readonly<Record<string, string>>): Promise<Response> {
    return fetch(`${stack().url}/api/v1/predict`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...headers },
      body: exampleBody,
    });
  }

  function modelsAs(key: string): Promise<Response> {
    return fetch(`${stack().url}/api/v1/models`, { headers: { 'x-api-key': key } });
  }

  async function errorOf(response: Response): Promise<readonly [number, string]> {
    const { error } = (await response.json()) as ErrorEnvelope;
    return [response.status, error.code];
  }

  it('no key, a wrong key and a key of nobody: 401 that says how to come in', async () => {
    const typo = stack().key.replace(/.$/, (last) => (last === '0' ? '1' : '0'));
    for (const headers of [
      {},
      { 'x-api-key': 'guess' },
      { 'x-api-key': typo },
      { authorization: 'Bearer a.b.c' },
    ]) {
      const response = await predictAs(headers as Record<string, string>);
      expect(response.headers.get('www-authenticate')).to.be.a('string').and.not.equal('');
      expect(await errorOf(response)).to.deep.equal([401, 'unauthorized']);
    }
  });

  it('a key does what its scopes say and no more', async () => {
    const predicting = (await keys('create', '--name', 'shop', '--scopes', 'predict'))['key'] as string;
    const reading = (await keys('create', '--name', 'catalogue', '--scopes', 'models:read'))['key'] as string;
    expect((await predictAs({ 'x-api-key': predicting })).status).to.equal(200);
    expect(await errorOf(await modelsAs(predicting))).to.deep.equal([403, 'forbidden']);
    expect((await modelsAs(reading)).status).to.equal(200);
    expect(await errorOf(await predictAs({ 'x-api-key': reading }))).to.deep.equal([403, 'forbidden']);
  });

  it('a revoked key is refused once what the API remembers of it has run out, and others go on', async () => {
    const { key, id } = (await keys('create', '--name', 'leaver')) as { key: string; id: string };
    expect((await predictAs({ 'x-api-key': key })).status).to.equal(200);
    expect(await keys('revoke', id)).to.include({ outcome: 'revoked' });
    let refused: Response | undefined;
    await until(async () => {
      refused = await predictAs({ 'x-api-key': key });
      return refused.status === 401;
    }, AbortSignal.timeout(settledTimeoutMs));
    expect(await errorOf(refused!)).to.deep.equal([401, 'unauthorized']);
    expect((await predictAs({ 'x-api-key': stack().key })).status).to.equal(200);
  });
});
