import { expect } from 'chai';
import { mkdtemp, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { curlLine } from '../../src/dev/greeting.ts';
import { portProblem } from '../../src/dev/ports.ts';
import { exampleBody, until } from '../../src/dev/readiness.ts';
import { readRunFile, runFilePath } from '../../src/run-file.ts';
import { launch } from '../support/launched.ts';
import type { Launched } from '../support/launched.ts';
import { isAlive } from '../support/processes.ts';
import { freePort } from '../support/redis-server.ts';
import { runProgram } from '../support/run-program.ts';
import { startStackProcess } from '../support/stack-process.ts';

/** From a kill to the next answer: backoff, start, and loading the models. */
const recoveryMs = 20_000;

describe('npm start', function () {
  this.timeout(60_000);
  let home: string;
  let port: number;
  let system: Launched;

  before(async () => {
    home = await mkdtemp(join(tmpdir(), 'millrace start '));
    port = await freePort();
    system = launch({ MILLRACE_HOME: home, MILLRACE_PORT: String(port) });
    await system.ready();
  });
  after(async () => {
    system.signal('SIGTERM');
    await system.ended();
    await rm(home, { recursive: true, force: true });
  });

  function url(path = ''): string {
    return `http://127.0.0.1:${port}${path}`;
  }

  async function key(): Promise<string> {
    return (await readFile(join(home, 'dev-key'), 'utf8')).trim();
  }

  async function predicts(at = url()): Promise<boolean> {
    const headers = { 'content-type': 'application/json', 'x-api-key': await key() };
    const response = await fetch(`${at}/api/v1/predict`, { method: 'POST', headers, body: exampleBody });
    return response.status === 200;
  }

  async function modeOf(file: string): Promise<number> {
    return (await stat(file)).mode & 0o777;
  }

  it('says in plain lines where it listens, with which key, and ends with a line that begins with ready', async () => {
    const lines = system.output.trimEnd().split('\n');
    expect(system.output).to.include(`API   ${url()}`);
    expect(system.output).to.include(await key());
    expect(lines.at(-1)).to.match(/^ready in \d+\.\d s$/);
    expect(system.output).not.to.include('\u001b');
  });

  it('keeps what is secret for its owner alone', async () => {
    expect(await modeOf(join(home, 'dev-key'))).to.equal(0o600);
    expect(await modeOf(runFilePath(home))).to.equal(0o600);
    expect(await modeOf(join(home, 'redis', 'redis.conf'))).to.equal(0o600);
  });

  it('prints a curl line that answers with the right class when it is pasted', async function () {
    const curl = await runProgram('sh', ['-c', 'command -v curl']);
    if (curl.code !== 0) this.skip();
    const line = curlLine(url(), await key());
    expect(system.output.split('\n')).to.include(line);
    const { code, stdout } = await runProgram('sh', ['-c', line]);
    expect(code).to.equal(0);
    const { predictions, model_name } = JSON.parse(stdout);
    expect(model_name).to.equal('wine');
    expect(predictions[0]).to.include({ output: 'class_1' });
    expect(predictions[0].probabilities).to.have.length(3);
  });

  it('refuses a second start beside it, names the first, and leaves it alone', async () => {
    const second = launch({ MILLRACE_HOME: home, MILLRACE_PORT: String(await freePort()) });
    expect(await second.ended()).to.equal(1);
    expect(second.output).to.include(`already runs from ${home} at ${url()} (process ${system.pid})`);
    expect(await predicts()).to.equal(true);
  });

  it('is joined by a second worker and a second API that know its home only', async () => {
    const adminPort = await freePort();
    const apiPort = await freePort();
    const worker = startStackProcess({
      name: 'second worker',
      script: 'src/workers/main.ts',
      env: { ...process.env, MILLRACE_HOME: home, MILLRACE_WORKER_ADMIN_PORT: String(adminPort) },
    });
    const api = startStackProcess({
      name: 'second API',
      script: 'src/api/main.ts',
      env: {
        ...process.env,
        MILLRACE_HOME: home,
        MILLRACE_PORT: String(apiPort),
        MILLRACE_API_ADMIN_PORT: '0',
        MILLRACE_DRAIN_DELAY_MS: '0',
      },
    });
    try {
      const limit = AbortSignal.timeout(recoveryMs);
      const isReady = async () => (await fetch(`http://127.0.0.1:${adminPort}/readyz`)).status === 200;
      await until(isReady, AbortSignal.any([limit, worker.ended]));
      await until(() => predicts(`http://127.0.0.1:${apiPort}`), AbortSignal.any([limit, api.ended]));
    } finally {
      await api.stop();
      await worker.stop();
    }
  });

  for (const [part, name] of [
    ['src/api/main.ts', 'api'],
    ['src/workers/main.ts', 'worker'],
    ['keeper.ts', 'redis'],
    ['redis-server', 'redis'],
  ] as const)
    it(`starts again what is killed: ${part}`, async () => {
      const before = system.child(part);
      const told = system.output.length;
      process.kill(before, 'SIGKILL');
      await until(
        async () => new RegExp(`${name} ended .*starting it again`).test(system.output.slice(told)),
        AbortSignal.timeout(recoveryMs),
      );
      await until(
        async () => (await predicts()) && system.child(part) !== before,
        AbortSignal.timeout(recoveryMs),
      );
    });

  it('leaves no process, no port and no run file after SIGTERM', async () => {
    const processes = system.descendants();
    const redisPort = Number(new URL(readRunFile(home)!.redisUrl).port);
    expect(processes.length).to.be.greaterThan(4);
    system.signal('SIGTERM');
    expect(await system.ended()).to.equal(0);
    expect(processes.filter(isAlive)).to.deep.equal([]);
    expect(await portProblem('127.0.0.1', port)).to.equal(undefined);
    expect(await portProblem('127.0.0.1', redisPort)).to.equal(undefined);
    expect(readRunFile(home)).to.equal(undefined);
  });
});
