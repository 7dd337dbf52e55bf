import { expect } from 'chai';
import { chmod, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { findRedis } from '../../src/dev/find-redis.ts';
import type { FindRedisOptions, FindRedisOutcome } from '../../src/dev/find-redis.ts';

const redis7 = 'echo "Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc-5.3.0 bits=64 build=0"';
const redis5 = 'echo "Redis server v=5.0.7 sha=00000000:0 malloc=jemalloc-5.2.1 bits=64 build=0"';
const valkey8 = 'echo "Valkey server v=8.0.1 sha=00000000:0 malloc=jemalloc-5.3.0 bits=64 build=0"';

describe('finding a Redis', () => {
  let folder: string;
  let announced: string[];

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'millrace find '));
    announced = [];
  });
  afterEach(() => rm(folder, { recursive: true, force: true }));

  /** A real executable in `<folder>/<bin>`; it may use absolute paths and what the shell has built in. */
  async function program(bin: string, name: string, script: string): Promise<string> {
    await mkdir(join(folder, bin), { recursive: true });
    const file = join(folder, bin, name);
    await writeFile(file, `#!/bin/sh\n${script}\n`);
    await chmod(file, 0o755);
    return file;
  }

  /** Looks in the folders of the test only. */
  function find(bins: readonly string[], options: Partial<FindRedisOptions> = {}): Promise<FindRedisOutcome> {
    return findRedis({
      url: undefined,
      path: bins.map((bin) => join(folder, bin)).join(delimiter),
      isRoot: true,
      allowDocker: true,
      announce: (sentence) => announced.push(sentence),
      ...options,
    });
  }

  /** What a package manager does, as far as can be seen from here: it notes its arguments and puts a program in place. */
  function installing(name: string, prints: string, when = 'true'): string {
    const file = join(folder, 'bin', name);
    return [
      `echo "$@" >> '${join(folder, 'calls')}'`,
      `if ${when}; then printf '#!/bin/sh\\n%s\\n' '${prints}' > '${file}'; /bin/chmod 755 '${file}'; fi`,
    ].join('\n');
  }

  async function calls(): Promise<string[]> {
    return (await readFile(join(folder, 'calls'), 'utf8')).trim().split('\n');
  }

  it('takes a given address before anything else', async () => {
    await program('bin', 'redis-server', redis7);
    const found = await find(['bin'], { url: 'redis://elsewhere:6379' });
    expect(found).to.deep.equal({ kind: 'url', url: 'redis://elsewhere:6379' });
  });

  it('takes redis-server from the path before valkey-server', async () => {
    await program('a', 'valkey-server', valkey8);
    const path = await program('b', 'redis-server', redis7);
    const found = await find(['a', 'b']);
    expect(found).to.deep.equal({ kind: 'binary', binary: { path, product: 'Redis', version: '7.0.15' } });
  });

  it('takes valkey-server where there is no redis-server', async () => {
    const path = await program('bin', 'valkey-server', valkey8);
    const found = await find(['bin']);
    expect(found).to.deep.equal({ kind: 'binary', binary: { path, product: 'Valkey', version: '8.0.1' } });
  });

  it('passes over a server that is too old, one that does not run, and a file that is no program', async () => {
    await program('a', 'redis-server', redis5);
    await program('b', 'redis-server', 'exit 127');
    await program('c', 'redis-server', redis7);
    await chmod(join(folder, 'c', 'redis-server'), 0o644);
    await mkdir(join(folder, 'd', 'redis-server'), { recursive: true });
    const path = await program('e', 'redis-server', redis7);
    const found = await find(['a', 'b', 'c', 'd', 'e']);
    expect(found).to.deep.include({ kind: 'binary' });
    expect(found).to.have.nested.property('binary.path', path);
  });

  it('installs with the package manager, says so before, and updates its lists when that fails', async () => {
    await program('bin', 'docker', 'exit 0');
    const listed = `[ -e '${join(folder, 'lists')}' ] && [ "$1" = install ]`;
    const update = `[ "$1" != update ] || : > '${join(folder, 'lists')}'`;
    await program('bin', 'apt-get', `${update}\n${installing('redis-server', redis7, listed)}`);
    const found = await find(['bin']);
    expect(found).to.have.nested.property('binary.path', join(folder, 'bin', 'redis-server'));
    expect(await calls()).to.deep.equal([
      'install -y --no-install-recommends redis-server',
      'update',
      'install -y --no-install-recommends redis-server',
    ]);
    expect(announced).to.deep.equal([
      'no Redis here yet',
      'running `apt-get install -y --no-install-recommends redis-server`',
      'running `apt-get update`',
      'running `apt-get install -y --no-install-recommends redis-server`',
    ]);
  });

  it('turns to Valkey where the distribution has no Redis', async () => {
    await program('bin', 'dnf', installing('valkey-server', valkey8, '[ "$3" = valkey ]'));
    const found = await find(['bin']);
    expect(found).to.have.nested.property('binary.product', 'Valkey');
    expect(await calls()).to.deep.equal(['install -y redis', 'install -y valkey']);
  });

  it('installs through sudo without a password when it is not root', async () => {
    await program('bin', 'apk', installing('redis-server', redis7));
    await program('bin', 'sudo', '[ "$1" = -n ] || exit 1\nshift\nexec "$@"');
    await program('bin', 'true', 'exit 0');
    const found = await find(['bin'], { isRoot: false });
    expect(found).to.have.property('kind', 'binary');
    expect(announced).to.include('running `sudo -n apk add --no-cache redis`');
  });

  it('does not touch the package manager when sudo would ask for a password', async () => {
    await program('bin', 'apk', installing('redis-server', redis7));
    await program('bin', 'sudo', 'exit 1');
    const docker = await program('bin', 'docker', '[ "$1" = info ]');
    const found = await find(['bin'], { isRoot: false });
    expect(found).to.deep.equal({ kind: 'docker', command: docker });
    expect(announced).to.deep.equal([]);
  });

  it('needs no root for Homebrew', async () => {
    await program('bin', 'brew', installing('redis-server', redis7));
    const found = await find(['bin'], { isRoot: false });
    expect(found).to.have.property('kind', 'binary');
  });

  it('does not take a Docker whose engine does not answer', async () => {
    await program('bin', 'docker', 'exit 1');
    const found = await find(['bin']);
    expect(found).to.deep.equal({
      kind: 'none',
      sentence:
        'Millrace needs Redis 6.2 or newer and found none: install redis-server or valkey-server, ' +
        'or set MILLRACE_REDIS_URL to one that runs.',
    });
  });

  it('says in one sentence what to do, with the command for this system', async () => {
    await program('bin', 'apt-get', 'exit 1');
    await program('bin', 'docker', 'exit 0');
    const found = await find(['bin'], { isRoot: false, allowDocker: false });
    expect(found).to.deep.equal({
      kind: 'none',
      sentence:
        'Millrace needs Redis 6.2 or newer and found none: install redis-server or valkey-server ' +
        '(for example: `sudo apt-get install redis-server`).',
    });
  });
});
