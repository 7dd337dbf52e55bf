import { expect } from 'chai';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startChild } from '../../src/dev/child.ts';
import type { Child, ChildDeath, ChildOptions } from '../../src/dev/child.ts';
import { tailOfLog } from '../../src/dev/log-file.ts';
import { until } from '../../src/dev/readiness.ts';
import { createRestartDelay } from '../../src/dev/restart-delay.ts';

describe('restart delay', () => {
  it('doubles from 250 ms to 10 s', () => {
    const delay = createRestartDelay();
    const delays = Array.from({ length: 8 }, () => delay.next(10));
    expect(delays).to.deep.equal([250, 500, 1000, 2000, 4000, 8000, 10_000, 10_000]);
  });

  it('starts again after a life of 30 s', () => {
    const delay = createRestartDelay();
    delay.next(10);
    delay.next(10);
    expect(delay.next(30_000)).to.equal(250);
    expect(delay.next(10)).to.equal(500);
  });
});

describe('child of the launcher', () => {
  let folder: string;
  let child: Child | undefined;

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'millrace child '));
  });
  afterEach(async () => {
    await child?.stop();
    await rm(folder, { recursive: true, force: true });
  });

  /** Runs a shell script; the death that it dies, when it was not told to, resolves `death`. */
  function start(script: string, options: Partial<ChildOptions> = {}): Promise<ChildDeath> {
    return new Promise((resolve) => {
      child = startChild({
        name: 'sample',
        command: '/bin/sh',
        args: ['-c', script],
        env: process.env,
        cwd: folder,
        logFile: join(folder, 'sample.log'),
        stopTimeoutMs: 5_000,
        onDeath: (death) => {
          resolve(death);
          return 'leave';
        },
        ...options,
      });
    });
  }

  it('tells how it ended, and keeps what it said', async () => {
    const death = await start('echo first; echo second >&2; exit 3');
    expect(death).to.deep.include({ name: 'sample', reason: 'exit code 3', restartDelayMs: 250 });
    expect(tailOfLog(death.logFile)).to.deep.equal(['first', 'second']);
  });

  it('tells by which signal it ended, and that a program is missing', async () => {
    expect((await start('kill -9 $$')).reason).to.equal('SIGKILL');
    expect((await start('', { command: join(folder, 'absent') })).reason).to.include('ENOENT');
  });

  it('is started again, after what it left behind is cleared', async () => {
    const order: string[] = [];
    const twice = new Promise<void>((resolve) => {
      void start('echo started', {
        onDeath: () => {
          order.push('died');
          if (order.filter((event) => event === 'died').length === 2) resolve();
          return 'restart';
        },
        beforeRestart: async () => {
          order.push('cleared');
        },
      });
    });
    await twice;
    expect(order).to.deep.equal(['died', 'cleared', 'died']);
  });

  it('keeps the log of the run before as .1', async () => {
    await start('echo one');
    await start('echo two');
    expect(await readFile(join(folder, 'sample.log'), 'utf8')).to.equal('two\n');
    expect(await readFile(join(folder, 'sample.log.1'), 'utf8')).to.equal('one\n');
  });

  it('is killed when SIGTERM does not end it', async () => {
    const log = join(folder, 'sample.log');
    const death = start('trap "" TERM; echo armed; while :; do read line; done', { stopTimeoutMs: 50 });
    await until(async () => tailOfLog(log).includes('armed'), AbortSignal.timeout(5_000));
    await child?.stop();
    const outcome = await Promise.race([death, Promise.resolve('no news')]);
    expect(outcome, 'a death that was asked for').to.equal('no news');
  });
});
