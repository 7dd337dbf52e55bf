import { expect } from 'chai';
import { once } from 'node:events';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { findRedisBinary } from '../../src/dev/find-redis.ts';
import { portProblem } from '../../src/dev/ports.ts';
import { until } from '../../src/dev/readiness.ts';
import { parseRunFile } from '../../src/run-file.ts';
import { launch } from '../support/launched.ts';
import type { Launched } from '../support/launched.ts';
import { isAlive } from '../support/processes.ts';
import { freePort } from '../support/redis-server.ts';
import { redisUrl } from '../support/services.ts';

/** Longer than a graceful stop and the kill after it. */
const endMs = 20_000;

describe('the launcher', function () {
  this.timeout(60_000);
  let home: string;
  let port: number;
  let system: Launched | undefined;

  // One home for all, so that all but the first start is a warm one.
  before(async () => {
    home = await mkdtemp(join(tmpdir(), 'millrace launcher '));
  });
  beforeEach(async () => {
    port = await freePort();
  });
  afterEach(async () => {
    system?.signal('SIGTERM');
    await system?.ended();
  });
  after(() => rm(home, { recursive: true, force: true }));

  function start(env: Readonly<Record<string, string>> = {}, command?: readonly string[]): Launched {
    system = launch({ MILLRACE_HOME: home, MILLRACE_PORT: String(port), ...env }, command);
    return system;
  }

  it('takes all its children with it when it is killed, and starts again from what it left', async () => {
    const first = start();
    await first.ready();
    const processes = first.descendants();
    const { redisUrl: leftUrl } = parseRunFile(home)!;
    const key = await readFile(join(home, 'dev-key'), 'utf8');
    first.signal('SIGKILL');
    expect(await first.ended()).to.equal('SIGKILL');
    expect(parseRunFile(home)).to.include({ redisUrl: leftUrl });
    const second = start();
    await second.ready();
    expect(parseRunFile(home)?.redisUrl).not.to.equal(leftUrl);
    expect(await readFile(join(home, 'dev-key'), 'utf8')).to.equal(key);
    await until(async () => !processes.some(isAlive), AbortSignal.timeout(endMs));
    second.signal('SIGTERM');
    expect(await second.ended()).to.equal(0);
  });

  it('stops in order when npm is told to stop, and npm waits for it', async () => {
    const started = start({}, ['npm', 'start']);
    await started.ready();
    const processes = started.descendants();
    started.signal('SIGTERM');
    expect(await started.ended()).to.equal(0);
    expect(started.output).to.include('stopped');
    expect(processes.filter(isAlive)).to.deep.equal([]);
  });

  it('stops when npm is killed', async () => {
    const started = start({}, ['npm', 'start']);
    await started.ready();
    const processes = started.descendants();
    started.signal('SIGKILL');
    await until(async () => !processes.some(isAlive), AbortSignal.timeout(endMs));
    expect(parseRunFile(home)).to.equal(undefined);
  });

  it('uses the Redis that it is given and leaves it running, and takes two signals in a row for one', async () => {
    const started = start({ MILLRACE_REDIS_URL: redisUrl(), MILLRACE_REDIS_PREFIX: 'launcher-test' });
    await started.ready();
    expect(() => started.child('redis-server')).to.throw('no process redis-server');
    const processes = started.descendants();
    started.signal('SIGINT');
    started.signal('SIGINT');
    expect(await started.ended()).to.equal(0);
    expect(started.output).to.include('stopped');
    expect(processes.filter(isAlive)).to.deep.equal([]);
  });

  it('ends at once, with all its children, at a later second signal', async () => {
    const started = start();
    await started.ready();
    const processes = started.descendants();
    // An API that does not react keeps the stop from ending by itself.
    process.kill(started.child('src/api/main.ts'), 'SIGSTOP');
    started.signal('SIGTERM');
    const impatient = performance.now() + 600;
    await until(async () => performance.now() > impatient, AbortSignal.timeout(endMs));
    started.signal('SIGTERM');
    expect(await started.ended()).to.equal(1);
    await until(async () => !processes.some(isAlive), AbortSignal.timeout(endMs));
  });

  it('runs Redis in Docker where there is neither a server nor a package manager', async () => {
    const { path } = (await findRedisBinary(process.env['PATH'] ?? ''))!;
    const bin = join(home, 'bin');
    await mkdir(bin);
    // Stands for the engine: what `docker run` publishes and mounts is given to a server on this machine.
    const script = `#!/bin/sh
echo "$1" >> '${home}/docker-calls'
case "$1" in image) exit 1 ;; info | pull) exit 0 ;; esac
for word; do
  case "$word" in
    127.0.0.1:*:6379) port="\${word#127.0.0.1:}"; port="\${port%:6379}" ;;
    type=bind,source=*,target=/data) folder="\${word#type=bind,source=}"; folder="\${folder%,target=/data}" ;;
  esac
done
cd "$folder" && exec '${path}' redis.conf --bind 127.0.0.1 --port "$port"
`;
    await writeFile(join(bin, 'docker'), script, { mode: 0o755 });
    const started = start({ PATH: bin });
    await started.ready();
    expect(started.output).to.match(/fetching the image redis:[^]*✓ Redis +in Docker, data in /);
    expect((await readFile(join(home, 'docker-calls'), 'utf8')).split('\n')).to.deep.equal([
      'info',
      'image',
      'pull',
      'run',
      '',
    ]);
    const processes = started.descendants();
    started.signal('SIGTERM');
    expect(await started.ended()).to.equal(0);
    expect(processes.filter(isAlive)).to.deep.equal([]);
  });

  it('leaves nothing behind when it is killed', async () => {
    const started = start();
    await started.ready();
    const processes = started.descendants();
    started.signal('SIGKILL');
    await until(async () => !processes.some(isAlive), AbortSignal.timeout(endMs));
    expect(await portProblem('127.0.0.1', port)).to.equal(undefined);
  });

  it('names the port and its setting when a stranger has it', async () => {
    const stranger = createServer().listen(port, '127.0.0.1');
    await once(stranger, 'listening');
    const started = start();
    expect(await started.ended()).to.equal(1);
    expect(started.output).to.match(
      new RegExp(`Port ${port} on 127.0.0.1 is taken by another program: set MILLRACE_PORT to a free one`),
    );
    stranger.close();
    await once(stranger, 'close');
  });

  it('says what is wrong with the Redis that it is given', async () => {
    const started = start({ MILLRACE_REDIS_URL: `redis://127.0.0.1:${await freePort()}` });
    expect(await started.ended()).to.equal(1);
    expect(started.output).to.match(/The Redis that MILLRACE_REDIS_URL names cannot be used: .*ECONNREFUSED/);
    expect(started.output).not.to.include('    at ');
  });

  it('shows the end of the log of a child that does not start', async () => {
    const started = start({ MILLRACE_API_ADMIN_HOST: '192.0.2.1' });
    expect(await started.ended()).to.equal(1);
    expect(started.output).to.match(/EADDRNOTAVAIL[^]*The api did not start \(exit code 1\); its log is /);
    expect(started.descendants()).to.deep.equal([]);
  });

  it('refuses settings that are wrong with their own words', async () => {
    const started = start({ MILLRACE_PROT: '1' });
    expect(await started.ended()).to.equal(1);
    expect(started.output).to.match(/MILLRACE_PROT .*such as MILLRACE_PORT/);
  });
});
