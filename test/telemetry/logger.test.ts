import { expect } from 'chai';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { openSync } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { channels } from '../../src/channels.ts';
import type { FaultEvent, HostEvent, NoticeEvent } from '../../src/channels.ts';
import { startLogger } from '../../src/telemetry/logger.ts';
import type { LogLevel } from '../../src/telemetry/logger.ts';
import { jobEvent, requestEvent, runEvent } from './events.ts';

type Line = Record<string, unknown>;

describe('logger', () => {
  let folder: string;

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'millrace-log-'));
  });

  afterEach(() => rm(folder, { recursive: true }));

  /** The lines that a logger of this level writes while `publish` runs. */
  async function linesOf(publish: () => void, level: LogLevel = 'info'): Promise<Line[]> {
    const path = join(folder, 'log');
    const logger = startLogger({ serviceName: 'millrace-test', level, fileDescriptor: openSync(path, 'w') });
    publish();
    await logger.stop();
    const text = await readFile(path, 'utf8');
    return text
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line) as Line);
  }

  function fault(event: Partial<FaultEvent> = {}): void {
    channels.fault.publish({ component: 'redis', message: 'the connection broke', ...event });
  }

  it('writes a line for each request, with ECS names', async () => {
    const [line] = await linesOf(() => channels.request.publish(requestEvent({ traceId: 'abc' })));
    const { '@timestamp': timestamp, 'process.pid': pid, ...rest } = line!;
    expect(new Date(String(timestamp)).toISOString()).to.equal(timestamp);
    expect(pid).to.equal(process.pid);
    expect(rest).to.deep.equal({
      'log.level': 'info',
      'service.name': 'millrace-test',
      'event.dataset': 'millrace.request',
      message: 'request',
      request_id: 'req-1',
      'trace.id': 'abc',
      'http.request.method': 'POST',
      'http.route': '/api/v1/models/{model}/predict',
      'http.response.status_code': 200,
      'event.duration': 2_500_000,
      'user.id': 'key-1',
      'millrace.model': 'wine',
      'millrace.version': '1',
      'millrace.cache': 'miss',
    });
  });

  it('leaves out what a request does not have', async () => {
    const [line] = await linesOf(() =>
      channels.request.publish(requestEvent({ principal: null, model: null, version: null })),
    );
    expect(line).to.not.have.any.keys(
      'user.id',
      'millrace.model',
      'millrace.version',
      'error.code',
      'trace.id',
    );
  });

  const levels: readonly [number, string][] = [
    [404, 'info'],
    [499, 'info'],
    [500, 'error'],
    [502, 'error'],
    [503, 'warn'],
    [504, 'warn'],
  ];
  for (const [status, level] of levels)
    it(`writes a ${status} at level ${level}`, async () => {
      const [line] = await linesOf(() =>
        channels.request.publish(requestEvent({ status, errorCode: 'some_code' })),
      );
      expect(line).to.include({ 'log.level': level, 'error.code': 'some_code' });
    });

  it('shows what lies behind a 5xx, with its causes', async () => {
    const cause = new Error('outer', { cause: new TypeError('inner') });
    const [line] = await linesOf(() => channels.request.publish(requestEvent({ status: 500, cause })));
    expect(line).to.include({ 'error.type': 'Error', 'error.message': 'outer' });
    expect(line!['error.stack_trace']).to.match(/^Error: outer\n[^]*caused by TypeError: inner\n/);
  });

  it('writes the stack of equal 5xx once and the line each time', async () => {
    const lines = await linesOf(() => {
      for (let count = 0; count < 3; count++)
        channels.request.publish(requestEvent({ status: 500, cause: new Error('the same') }));
    });
    expect(lines.filter((line) => line['error.message'] === 'the same')).to.have.lengthOf(3);
    expect(lines.filter((line) => 'error.stack_trace' in line)).to.have.lengthOf(1);
  });

  it('warns of equal failures once, and at the end how many more there were', async () => {
    const publish = (): void => {
      for (let count = 0; count < 1000; count++) {
        const cause = new Error('ECONNREFUSED');
        channels.request.publish(requestEvent({ status: 503, errorCode: 'service_unavailable', cause }));
      }
      channels.request.publish(requestEvent({ status: 504, errorCode: 'timeout' }));
    };
    const warnings = await linesOf(publish, 'warn');
    expect(warnings).to.have.lengthOf(3);
    expect(warnings[0]).to.include({ 'error.code': 'service_unavailable', 'error.message': 'ECONNREFUSED' });
    expect(warnings[1]).to.include({ 'error.code': 'timeout' });
    expect(warnings[2]).to.include({
      message: 'request 503 service_unavailable ECONNREFUSED',
      'millrace.omitted': 999,
    });
    expect(await linesOf(publish)).to.have.lengthOf(1002);
  });

  it('survives causes that go in circles', async () => {
    const cause = new Error('a');
    cause.cause = cause;
    const [line] = await linesOf(() => channels.request.publish(requestEvent({ status: 500, cause })));
    expect(String(line!['error.stack_trace']).length).to.be.at.most(8192);
  });

  it('writes equal faults once, and at the end how many it left out', async () => {
    const lines = await linesOf(() => {
      for (let count = 0; count < 1000; count++) fault({ error: new Error('ECONNREFUSED') });
      fault({ component: 'registry' });
    });
    expect(lines).to.have.lengthOf(3);
    expect(lines[0]).to.include({
      'log.level': 'error',
      message: 'the connection broke',
      'error.message': 'ECONNREFUSED',
    });
    expect(lines[1]).to.include({ 'millrace.component': 'registry' });
    expect(lines[2]).to.include({ 'millrace.omitted': 999 });
  });

  it('writes notices with their fields', async () => {
    const event: NoticeEvent = {
      component: 'api',
      message: 'listening',
      fields: { port: 8080, names: ['a'], deep: { a: 1 } },
    };
    const [line] = await linesOf(() => channels.notice.publish(event));
    expect(line).to.deep.include({
      'millrace.component': 'api',
      message: 'listening',
      port: 8080,
      names: ['a'],
      deep: '[object]',
    });
  });

  it('shows no credentials, wherever they come in', async () => {
    const url = 'redis://user:hunter2@host:6379';
    const fields = {
      apiKey: 'hunter2',
      authorization: 'Bearer hunter2',
      url,
      text: 'sent Bearer hunter2',
      list: [url],
    };
    const host: HostEvent = { hostId: 'h', pid: 1, state: 'defunct', reason: url };
    const lines = await linesOf(() => {
      fault({
        message: `no answer from ${url}`,
        error: new Error(`cannot reach ${url}`, { cause: new Error(url) }),
      });
      channels.notice.publish({ component: 'a', message: url, fields } satisfies NoticeEvent);
      channels.request.publish(requestEvent({ status: 500, cause: new Error(url) }));
      channels.host.publish(host);
    });
    expect(lines).to.have.lengthOf(4);
    expect(JSON.stringify(lines)).to.include('redis://[redacted]@host:6379').and.not.include('hunter2');
  });

  it('keeps one event on one line, whatever it holds', async () => {
    const lines = await linesOf(() => fault({ message: 'two\nlines\u2028and \u0000' }));
    expect(lines[0]).to.include({ message: 'two\nlines\u2028and \u0000' });
  });

  it('writes what went wrong with jobs, runs and hosts, and the rest on demand', async () => {
    const publish = (): void => {
      channels.job.publish(jobEvent());
      channels.job.publish(jobEvent({ phase: 'lost' }));
      channels.run.publish(runEvent());
      channels.run.publish(runEvent({ outcome: 'host_died' }));
      for (const state of ['starting', 'ready', 'busy', 'defunct'])
        channels.host.publish({ hostId: 'h', pid: 1, state } satisfies HostEvent);
      channels.host.publish({
        hostId: 'h',
        pid: 1,
        state: 'ready',
        change: 'loaded',
        model: 'm',
        version: '1',
        durationMs: 3,
      } satisfies HostEvent);
    };
    const shown = async (level: LogLevel): Promise<string[]> =>
      (await linesOf(publish, level)).map(
        (line) => `${String(line['log.level'])} ${String(line['event.dataset'])}`,
      );
    const host = 'millrace.host';
    expect(await shown('info')).to.deep.equal([
      'warn millrace.job',
      'warn millrace.run',
      `info ${host}`,
      `warn ${host}`,
      `info ${host}`,
    ]);
    expect(await shown('warn')).to.deep.equal(['warn millrace.job', 'warn millrace.run', `warn ${host}`]);
    expect(await shown('trace')).to.have.lengthOf(9);
  });

  it('warns of equal jobs and runs that fail once', async () => {
    const publish = (): void => {
      for (let count = 0; count < 100; count++) {
        channels.job.publish(jobEvent({ phase: 'lost' }));
        channels.run.publish(runEvent({ outcome: 'host_died' }));
      }
    };
    const lines = await linesOf(publish);
    expect(lines.map((line) => line['millrace.omitted'])).to.deep.equal([undefined, undefined, 99, 99]);
    expect(await linesOf(publish, 'debug')).to.have.lengthOf(202);
  });

  it('writes nothing once it is stopped', async () => {
    await linesOf(() => {});
    fault();
    expect(await readFile(join(folder, 'log'), 'utf8')).to.equal('');
    expect(channels.fault.hasSubscribers).to.equal(false);
  });

  it('goes on, and stops, when nobody reads its lines any more', async () => {
    const source = `
      import { channels } from '${new URL('../../src/channels.ts', import.meta.url).href}';
      import { startLogger } from '${new URL('../../src/telemetry/logger.ts', import.meta.url).href}';
      const logger = startLogger({ serviceName: 'millrace-test', level: 'info' });
      process.stdin.resume().once('end', async () => {
        for (let count = 0; count < 500; count++) channels.notice.publish({ component: 'a', message: String(count) });
        await new Promise(setImmediate);
        await logger.stop();
        process.exitCode = 7;
      });`;
    const child = spawn(process.execPath, ['--input-type=module', '--eval', source], {
      stdio: ['pipe', 'pipe', 'ignore'],
    });
    child.stdout.destroy();
    child.stdin.end();
    expect(await once(child, 'close')).to.deep.equal([7, null]);
  });

  it('writes a line within moments also when no other follows', async () => {
    const source = `
      import { channels } from '${new URL('../../src/channels.ts', import.meta.url).href}';
      import { startLogger } from '${new URL('../../src/telemetry/logger.ts', import.meta.url).href}';
      const logger = startLogger({ serviceName: 'millrace-test', level: 'info' });
      channels.request.publish(${JSON.stringify(requestEvent())});
      process.stdin.resume().once('end', () => logger.stop());`;
    const child = spawn(process.execPath, ['--input-type=module', '--eval', source], {
      stdio: ['pipe', 'pipe', 'ignore'],
    });
    const [chunk] = (await once(child.stdout, 'data')) as [Buffer];
    expect(JSON.parse(chunk.toString())).to.include({ request_id: 'req-1' });
    child.stdin.end();
    await once(child, 'close');
  });

  it('loses no line when its process ends by an uncaught error', async () => {
    const source = `
      import { channels } from '${new URL('../../src/channels.ts', import.meta.url).href}';
      import { startLogger } from '${new URL('../../src/telemetry/logger.ts', import.meta.url).href}';
      startLogger({ serviceName: 'millrace-test', level: 'info' });
      for (let count = 0; count < 500; count++) channels.notice.publish({ component: 'a', message: String(count) });
      throw new Error('the end');`;
    const child = spawn(process.execPath, ['--input-type=module', '--eval', source], {
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    let text = '';
    child.stdout.on('data', (chunk: Buffer) => (text += chunk.toString()));
    const [code] = (await once(child, 'close')) as [number];
    expect(code).to.equal(1);
    expect(
      text
        .trimEnd()
        .split('\n')
        .map((line) => (JSON.parse(line) as Line)['message']),
    ).to.deep.equal(Array.from({ length: 500 }, (_, index) => String(index)));
  });
});
