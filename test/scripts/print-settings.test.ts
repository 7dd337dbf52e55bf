import { expect } from 'chai';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { maskSecret } from '../../scripts/settings-page.ts';

const script = fileURLToPath(new URL('../../scripts/print-settings.ts', import.meta.url));

async function print(
  env: NodeJS.ProcessEnv,
  ...flags: string[]
): Promise<{ code: number; out: string; err: string }> {
  const child = spawn(process.execPath, [script, ...flags], { env, stdio: ['ignore', 'pipe', 'pipe'] });
  const text = { out: '', err: '' };
  child.stdout.on('data', (chunk: Buffer) => (text.out += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (text.err += chunk.toString()));
  const [code] = (await once(child, 'close')) as [number];
  return { code, ...text };
}

describe('npm run settings', () => {
  it('prints what is in effect, and marks what is not a default', async () => {
    const { code, out } = await print({ MILLRACE_ENVIRONMENT: 'production', MILLRACE_PORT: '81' });
    expect(code).to.equal(0);
    expect(out)
      .to.match(/^port +81 +env$/m)
      .and.match(/^host +0\.0\.0\.0 +file$/m)
      .and.match(/^default_model +wine$/m);
  });

  it('prints the same as JSON, without passwords', async () => {
    const { out } = await print({ MILLRACE_REDIS_URL: 'redis://user:hunter2@host:1/0' }, '--json');
    const printed = JSON.parse(out) as Record<string, { value: unknown; source: string }>;
    expect(printed['redis.url']).to.deep.equal({ value: 'redis://user:****@host:1/0', source: 'env' });
    expect(printed['port']).to.deep.equal({ value: 8080, source: 'default' });
  });

  it('says what is wrong in one sentence, and fails', async () => {
    const { code, out, err } = await print({ MILLRACE_PROT: '81' });
    expect([code, out]).to.deep.equal([1, '']);
    expect(err).to.match(/^Settings: MILLRACE_PROT .*such as MILLRACE_PORT; found an unknown name\n$/);
  });

  it('says what it takes when it is given something else', async () => {
    for (const flag of ['--bogus', 'redis.url']) {
      const { code, out, err } = await print({}, flag);
      expect([code, out]).to.deep.equal([1, '']);
      expect(err).to.include(flag).and.include('npm run settings').and.not.include('node:internal');
    }
  });

  describe('a masked secret', () => {
    const secrets: readonly [string, string][] = [
      ['redis://host:6379', 'redis://host:6379'],
      ['redis://:p@host:6379', 'redis://:****@host:6379'],
      ['rediss://u:p%40q@host/2', 'rediss://u:****@host/2'],
      ['redis://host?password=p&db=1', 'redis://host?password=****&db=****'],
      ['not a URL', '****'],
    ];
    for (const [secret, masked] of secrets)
      it(`is ${masked} for ${secret}`, () => expect(maskSecret(secret)).to.equal(masked));
  });
});
