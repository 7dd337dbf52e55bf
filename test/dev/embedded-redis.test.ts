import { expect } from 'chai';
import { mkdtemp, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { prepareRedis } from '../../src/dev/embedded-redis.ts';

describe('embedded Redis', () => {
  let folder: string;
  beforeEach(async () => {
    folder = join(await mkdtemp(join(tmpdir(), 'millrace redis ')), 'with "quotes" and \\');
  });
  afterEach(() => rm(join(folder, '..'), { recursive: true, force: true }));

  it('listens on loopback with a password of its own, keeps what it accepted and refuses rather than forgets', async () => {
    const source = {
      kind: 'binary',
      binary: { path: '/bin/redis-server', product: 'Redis', version: '7.0.15' },
    } as const;
    const { url, args } = prepareRedis(source, folder, 7000);
    const file = join(folder, 'redis.conf');
    expect(args.slice(1)).to.deep.equal(['/bin/redis-server', file]);
    expect((await stat(file)).mode & 0o777).to.equal(0o600);
    const password = /^redis:\/\/:([\w-]{32})@127\.0\.0\.1:7000$/.exec(url)?.[1];
    expect((await readFile(file, 'utf8')).trim().split('\n')).to.deep.equal([
      'bind "127.0.0.1"',
      'port "7000"',
      `requirepass "${password}"`,
      `dir "${folder.replaceAll('\\', '\\\\').replaceAll('"', '\\"')}"`,
      'daemonize "no"',
      'appendonly "yes"',
      'appendfsync "everysec"',
      'save ""',
      'maxmemory-policy "noeviction"',
    ]);
    const again = prepareRedis(source, folder, 7000);
    expect(again.url).not.to.equal(url);
  });
});
