import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { on, once } from 'node:events';
import { createServer } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import { encodeTensors } from '../../../src/tensors/binary-codec.ts';
import { FrameDecoder, writeFrame } from '../../../src/workers/host/frames.ts';
import { tensor } from '../../support/builders.ts';
import { fixturePath, fixtureSpec, poisonHost, realHost } from '../support/hosts.ts';
import { abortMarker } from '../support/markers.ts';

/** A host spoken to by hand. */
interface BareHost {
  readonly child: ChildProcess;
  readonly control: Duplex;
  readonly data: Duplex;
  /** Headers received on a pipe, in order; resolves once there are `count`. */
  readonly received: (pipe: Duplex, count: number) => Promise<readonly { readonly type: string }[]>;
}

const children = new Set<ChildProcess>();

function startHost(entry = realHost): BareHost {
  const child = spawn(process.execPath, [entry], {
    stdio: ['ignore', 'ignore', 'ignore', 'pipe', 'pipe'],
    env: {},
  });
  children.add(child);
  const [control, data] = [child.stdio[3] as Duplex, child.stdio[4] as Duplex];
  const headers = new Map<Duplex, { readonly type: string }[]>();
  for (const pipe of [control, data]) {
    const decoder = new FrameDecoder();
    headers.set(pipe, []);
    pipe.on('error', () => {});
    pipe.on('data', (chunk: Buffer) => {
      for (const { header } of decoder.push(chunk)) headers.get(pipe)?.push(header as { type: string });
      pipe.emit('header');
    });
  }
  return {
    child,
    control,
    data,
    received: async (pipe, count) => {
      while ((headers.get(pipe)?.length ?? 0) < count) await once(pipe, 'header');
      return headers.get(pipe) ?? [];
    },
  };
}

async function exitOf(child: ChildProcess): Promise<number | null> {
  if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
  return child.exitCode;
}

describe('host process', () => {
  afterEach(async () => {
    for (const child of children) {
      child.kill('SIGKILL');
      await exitOf(child);
    }
    children.clear();
  });

  it('says first that it is ready', async () => {
    const { child, control, received } = startHost();
    const [first] = await received(control, 1);
    expect(first).to.deep.equal({ type: 'ready', protocolVersion: 1, pid: child.pid });
  });

  it('ends with code 0 when it is told to stop', async () => {
    const { child, control, received } = startHost();
    await received(control, 1);
    writeFrame(control, { type: 'stop' });
    expect(await exitOf(child)).to.equal(0);
  });

  it('ends when a pipe to its worker closes', async () => {
    for (const pipe of ['control', 'data'] as const) {
      const host = startHost();
      await host.received(host.control, 1);
      host[pipe].destroy();
      expect(await exitOf(host.child)).to.equal(0);
    }
  });

  it('ends with an error when the bytes are no frames', async () => {
    const { child, control, received } = startHost();
    await received(control, 1);
    control.write(Buffer.alloc(64, 0xff));
    expect(await exitOf(child)).to.equal(1);
  });

  it('leaves SIGTERM and SIGINT to its worker', async () => {
    const { child, control, received } = startHost();
    await received(control, 1);
    child.kill('SIGINT');
    child.kill('SIGTERM');
    const { key, path, digest, intraOpThreads } = fixtureSpec('nonce');
    writeFrame(control, { type: 'load', id: 1, key, path, digest, intraOpThreads });
    expect((await received(control, 2))[1]).to.include({ type: 'loaded', id: 1, key: 'nonce' });
  });

  it('answers what it cannot do, without naming paths', async () => {
    const { control, data, received } = startHost();
    await received(control, 1);
    const { key, digest, intraOpThreads } = fixtureSpec('nonce');
    writeFrame(control, { type: 'load', id: 1, key, path: '/nonexistent', digest, intraOpThreads });
    writeFrame(control, { type: 'load', id: 2, key, path: fixturePath('scalar'), digest, intraOpThreads });
    writeFrame(data, { type: 'run', id: 3, key, outputs: null });
    const answers = (await received(control, 3)).slice(1);
    for (const answer of answers) {
      expect(answer).to.have.nested.property('error.code', 'bad_gateway');
      expect(JSON.stringify(answer)).not.to.include('/');
    }
    expect((await received(data, 1))[0]).to.have.nested.property('error.code', 'not_found');
  });

  it('has handed an answer over before it begins a run that ends it', async () => {
    const { child, control, data, received } = startHost(poisonHost);
    await received(control, 1);
    const { key, path, digest, intraOpThreads } = fixtureSpec('nonce');
    writeFrame(control, { type: 'load', id: 1, key, path, digest, intraOpThreads });
    await received(control, 2);
    // 4 MB: more than a pipe holds.
    for (const [id, values] of [new Float64Array(500_000), Float64Array.of(abortMarker)].entries()) {
      const x = tensor('FP64', [values.length, 1], [...values]);
      writeFrame(data, { type: 'run', id, key, outputs: null }, [encodeTensors(new Map([['x', x]]))]);
    }
    const closed = once(data, 'close');
    await exitOf(child);
    await closed;
    expect((await received(data, 0)).map(({ type }) => type)).to.deep.equal(['ran']);
  });

  for (const [what, entry] of [
    ['idle', 'announcing-host.ts'],
    ['in a run that never returns', 'hung-host.ts'],
  ] as const) {
    it(`ends when its worker is killed while it is ${what}`, async () => {
      const server = createServer().listen(0, '127.0.0.1');
      await once(server, 'listening');
      const { port } = server.address() as AddressInfo;
      const script = fileURLToPath(new URL('../support/host-parent.ts', import.meta.url));
      const parent = spawn(process.execPath, [script, entry, String(port)], { stdio: 'inherit' });
      children.add(parent);
      const hosts: Socket[] = [];
      for await (const [host] of on(server, 'connection') as AsyncIterable<[Socket]>)
        if (hosts.push(host.on('error', () => {})) === 2) break;
      const ended = Promise.all(hosts.map((host) => once(host.resume(), 'close')));
      parent.kill('SIGKILL');
      await ended;
      server.close();
    });
  }
});
