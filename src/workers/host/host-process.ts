import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { performance } from 'node:perf_hooks';
import type { Duplex } from 'node:stream';
import { MillraceError, toErrorRecord } from '../../errors.ts';
import { decodeTensors, encodeTensors } from '../../tensors/binary-codec.ts';
import { FrameDecoder, writeFrame } from './frames.ts';
import type { Frame } from './frames.ts';
import { protocolVersion } from './protocol.ts';
import type { ControlRequest, ControlResponse, DataRequest, DataResponse } from './protocol.ts';
import type { CreateSession, Session } from './session.ts';

export interface HostPipes {
  readonly control: Duplex;
  readonly data: Duplex;
}

type LoadRequest = Extract<ControlRequest, { type: 'load' }>;
type UnloadRequest = Extract<ControlRequest, { type: 'unload' }>;

/**
 * The loop of a host process: answers the worker's frames until it is told to stop or a pipe closes, then
 * resolves. One thread does it all: while a session is created or run, nothing else happens here, and frames
 * wait in the pipes. Rejects when the other side breaks the protocol.
 */
export async function serveHost(pipes: HostPipes, createSession: CreateSession): Promise<void> {
  const host = new HostProcess(pipes, createSession);
  await host.serve();
}

class HostProcess {
  readonly #pipes: HostPipes;
  readonly #createSession: CreateSession;
  readonly #sessions = new Map<string, Session>();
  /** Runs, releases and the end, in the order they were asked for: a session is never released under a run. */
  #turn: Promise<void> = Promise.resolve();

  constructor(pipes: HostPipes, createSession: CreateSession) {
    this.#pipes = pipes;
    this.#createSession = createSession;
  }

  async serve(): Promise<void> {
    const { control, data } = this.#pipes;
    try {
      await new Promise<void>((resolve, reject) => {
        const stop = (): void => this.#inTurn(async () => resolve());
        receive(control, (frame) => this.#onControl(frame.header as ControlRequest, stop), stop, reject);
        receive(data, (frame) => this.#onRun(frame), stop, reject);
        this.#reply({ type: 'ready', protocolVersion, pid: process.pid });
      });
      await Promise.all([handedOver(control), handedOver(data)]);
    } finally {
      control.destroy();
      data.destroy();
    }
  }

  #onControl(request: ControlRequest, stop: () => void): void {
    switch (request.type) {
      case 'load':
        void this.#answer(request.id, () => this.#load(request));
        break;
      case 'unload':
        this.#inTurn(() => this.#answer(request.id, () => this.#unload(request)));
        break;
      case 'stop':
        stop();
        break;
    }
  }

  #onRun(frame: Frame): void {
    const request = frame.header as DataRequest;
    this.#inTurn(() => this.#run(request, frame.body));
  }

  #inTurn(step: () => Promise<void>): void {
    this.#turn = this.#turn.then(step);
  }

  async #answer(id: number, work: () => Promise<ControlResponse>): Promise<void> {
    try {
      this.#reply(await work());
    } catch (error) {
      this.#reply({ type: 'failed', id, error: toErrorRecord(error) });
    }
  }

  async #load(request: LoadRequest): Promise<ControlResponse> {
    const startedAtMs = performance.now();
    const bytes = await readArtifact(request.path, request.digest);
    const session = await this.#createSession(bytes, { intraOpThreads: request.intraOpThreads });
    this.#sessions.set(request.key, session);
    return {
      type: 'loaded',
      id: request.id,
      key: request.key,
      inputs: session.inputs,
      outputs: session.outputs,
      loadMs: performance.now() - startedAtMs,
      rssBytes: process.memoryUsage.rss(),
    };
  }

  async #unload(request: UnloadRequest): Promise<ControlResponse> {
    const session = this.#sessions.get(request.key);
    this.#sessions.delete(request.key);
    await session?.release();
    const rssBytes = process.memoryUsage.rss();
    return { type: 'unloaded', id: request.id, key: request.key, rssBytes };
  }

  async #run(request: DataRequest, body: Uint8Array): Promise<void> {
    try {
      const session = this.#sessions.get(request.key);
      if (session === undefined) throw new MillraceError('not_found', `${request.key} is not loaded`);
      const feeds = decodeTensors(body);
      const startedAtMs = performance.now();
      const tensors = await session.run(feeds, request.outputs);
      const runMs = performance.now() - startedAtMs;
      this.#replyData({ type: 'ran', id: request.id, runMs }, [encodeTensors(tensors)]);
    } catch (error) {
      this.#replyData({ type: 'run_failed', id: request.id, error: toErrorRecord(error) });
    }
    // The next run may end this process: it must not take along what others wait for.
    await handedOver(this.#pipes.data);
  }

  #reply(response: ControlResponse): void {
    writeFrame(this.#pipes.control, response);
  }

  #replyData(response: DataResponse, body: readonly Uint8Array[] = []): void {
    writeFrame(this.#pipes.data, response, body);
  }
}

/** Calls `onEnd` when the other side is gone; `onFault` for bytes that are no frames. */
function receive(
  pipe: Duplex,
  onFrame: (frame: Frame) => void,
  onEnd: () => void,
  onFault: (error: unknown) => void,
): void {
  const decoder = new FrameDecoder();
  pipe.on('data', (chunk: Buffer) => {
    try {
      for (const frame of decoder.push(chunk)) onFrame(frame);
    } catch (error) {
      onFault(error);
    }
  });
  // A reset is an end as well: the worker was killed.
  pipe.on('error', onEnd);
  pipe.once('end', onEnd);
}

/** The very bytes that were hashed are loaded: what is at the path afterwards does not matter. */
async function readArtifact(path: string, digest: string): Promise<Uint8Array> {
  const bytes = await readFile(path).catch((error: unknown) => {
    throw new MillraceError('bad_gateway', `The artifact ${digest} cannot be read`, { cause: error });
  });
  if (createHash('sha256').update(bytes).digest('hex') !== digest)
    throw new MillraceError('bad_gateway', `The bytes stored as artifact ${digest} are not its own`);
  return bytes;
}

/** Resolves when all that was written is with the kernel, or can never be. */
function handedOver(pipe: Duplex): Promise<void> {
  return new Promise((resolve) => {
    if (pipe.destroyed || pipe.writableLength === 0) resolve();
    else pipe.write('', () => resolve());
  });
}
