import { expect } from 'chai';
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { MillraceError } from '../src/errors.ts';
import { createLifecycle } from '../src/lifecycle.ts';

describe('lifecycle', () => {
  it('starts parts in order, hands on what they give, and stops them in reverse', async () => {
    const calls: string[] = [];
    const lifecycle = createLifecycle();
    const first = await lifecycle.start(
      'first',
      () => 1,
      (part) => calls.push(`stop ${part}`),
    );
    const second = await lifecycle.start(
      'second',
      async () => 2,
      async (part) => calls.push(`stop ${part}`),
    );
    expect([first, second]).to.deep.equal([1, 2]);
    await lifecycle.stop();
    expect(calls).to.deep.equal(['stop 2', 'stop 1']);
  });

  it('waits for one part to stop before it stops the next', async () => {
    const calls: string[] = [];
    const latch = Promise.withResolvers<void>();
    const lifecycle = createLifecycle();
    await lifecycle.start(
      'below',
      () => 0,
      () => calls.push('below'),
    );
    await lifecycle.start(
      'above',
      () => 0,
      async () => {
        await latch.promise;
        calls.push('above');
      },
    );
    const stopped = lifecycle.stop();
    latch.resolve();
    await stopped;
    expect(calls).to.deep.equal(['above', 'below']);
  });

  it('stops every part, whatever the others do, and gathers their errors', async () => {
    const calls: string[] = [];
    const lifecycle = createLifecycle();
    await lifecycle.start(
      'a',
      () => 0,
      () => calls.push('a'),
    );
    await lifecycle.start(
      'b',
      () => 0,
      () => Promise.reject(new Error('b broke')),
    );
    await lifecycle.start(
      'c',
      () => 0,
      () => {
        throw new Error('c broke');
      },
    );
    const error: unknown = await lifecycle.stop().catch((caught: unknown) => caught);
    expect(calls).to.deep.equal(['a']);
    expect(error).to.be.instanceOf(AggregateError);
    const causes = (error as AggregateError).errors.map(
      (one: Error) => `${one.message}: ${(one.cause as Error).message}`,
    );
    expect(causes).to.deep.equal(['c did not stop cleanly: c broke', 'b did not stop cleanly: b broke']);
  });

  it('stops once, however often it is told', async () => {
    let count = 0;
    const lifecycle = createLifecycle();
    await lifecycle.start(
      'part',
      () => 0,
      () => count++,
    );
    await Promise.all([lifecycle.stop(), lifecycle.stop()]);
    await lifecycle.stop();
    expect(count).to.equal(1);
  });

  it('does not stop a part that never started', async () => {
    let stopped = false;
    const lifecycle = createLifecycle();
    const failed = lifecycle.start(
      'part',
      () => Promise.reject(new Error('no')),
      () => (stopped = true),
    );
    expect(await failed.catch((error: Error) => error.message)).to.equal('no');
    await lifecycle.stop();
    expect(stopped).to.equal(false);
  });

  it('awaits and stops a part that is starting when it is told to stop', async () => {
    const latch = Promise.withResolvers<void>();
    let stopped = false;
    const lifecycle = createLifecycle();
    const starting = lifecycle.start(
      'slow',
      () => latch.promise,
      () => (stopped = true),
    );
    const stopping = lifecycle.stop();
    expect(lifecycle.stopping.aborted).to.equal(true);
    latch.resolve();
    await Promise.all([starting, stopping]);
    expect(stopped).to.equal(true);
  });

  it('starts nothing once it is stopping', async () => {
    const lifecycle = createLifecycle();
    await lifecycle.stop();
    const error: unknown = await lifecycle.start('late', () => 0).catch((caught: unknown) => caught);
    expect(MillraceError.is(error) && error.code).to.equal('service_unavailable');
  });

  describe('signals of a process', () => {
    const script = fileURLToPath(new URL('fixtures/lifecycle-process.ts', import.meta.url));
    const children = new Set<ChildProcess>();

    afterEach(() => {
      for (const child of children) child.kill('SIGKILL');
      children.clear();
    });

    /** A process with one part; resolves when it has said `up`. */
    async function launch(mode: string, supervised: boolean) {
      const child = spawn(process.execPath, [script, mode, String(supervised)], {
        stdio: ['pipe', 'pipe', 'inherit'],
      });
      children.add(child);
      const said: string[] = [];
      const waiting: { line: string; resolve: () => void }[] = [];
      createInterface(child.stdout).on('line', (line) => {
        said.push(line);
        for (const waiter of waiting) if (waiter.line === line) waiter.resolve();
      });
      const hears = (line: string): Promise<void> =>
        new Promise((resolve) => {
          if (said.includes(line)) resolve();
          else waiting.push({ line, resolve });
        });
      const ended = once(child, 'close').then(([code]: unknown[]) => {
        children.delete(child);
        return code as number | null;
      });
      await hears('up');
      return { child, said, hears, ended };
    }

    for (const signal of ['SIGTERM', 'SIGINT'] as const)
      it(`ends cleanly on ${signal}`, async () => {
        const { child, said, ended } = await launch('clean', false);
        child.kill(signal);
        expect(await ended).to.equal(0);
        expect(said).to.deep.equal(['up', `notice stopping: ${signal}`, 'stopped']);
      });

    it('takes the second Ctrl-C of a terminal and npm for the first', async () => {
      const { child, hears, ended } = await launch('until-stdin-closes', false);
      child.kill('SIGINT');
      await hears('notice stopping: SIGINT');
      child.kill('SIGINT');
      child.stdin.end();
      expect(await ended).to.equal(0);
    });

    it('is ended by force by a second signal', async () => {
      const { child, said, hears, ended } = await launch('stuck-later', false);
      child.kill('SIGTERM');
      await hears('notice stopping: SIGTERM');
      child.kill('SIGTERM');
      expect(await ended).to.equal(1);
      expect(said.at(-1)).to.equal('fault ended by force: a second signal came before all parts had stopped');
    });

    it('is ended by force when the grace is over, and says what held it', async () => {
      const { child, said, ended } = await launch('stuck', false);
      child.kill('SIGTERM');
      expect(await ended).to.equal(1);
      expect(said.at(-1)).to.match(/^fault ended by force: still open after 100 ms: .*Timeout/);
    });

    it('ends with code 1 when a part does not stop cleanly', async () => {
      const { child, said, ended } = await launch('broken', false);
      child.kill('SIGTERM');
      expect(await ended).to.equal(1);
      expect(said.at(-1)).to.equal('fault stopped with errors');
    });

    for (const mode of ['throws', 'rejects'])
      it(`stops its parts and ends with code 1 when something ${mode} uncaught`, async () => {
        const { child, said, ended } = await launch(mode, false);
        child.stdin.end();
        expect(await ended).to.equal(1);
        expect(said).to.include('fault uncaught error').and.include('stopped');
      });

    it('ends cleanly when it is told to stop while it is still starting', async () => {
      const { child, said, hears, ended } = await launch('still-starting', false);
      child.kill('SIGTERM');
      await hears('notice stopping: SIGTERM');
      child.stdin.end();
      expect(await ended).to.equal(0);
      expect(said.slice(1)).to.deep.equal(['notice stopping: SIGTERM', 'stopped']);
    });

    it('ends with its launcher, whose end of stdin closes', async () => {
      const { child, said, ended } = await launch('clean', true);
      child.stdin.end();
      expect(await ended).to.equal(0);
      expect(said).to.include('notice stopping: the launcher is gone');
    });

    it('leaves SIGINT to its launcher', async () => {
      const { child, said, ended } = await launch('clean', true);
      child.kill('SIGINT');
      child.kill('SIGTERM');
      expect(await ended).to.equal(0);
      expect(said).to.include('notice stopping: SIGTERM');
    });
  });
});
