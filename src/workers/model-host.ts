import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { dirname } from 'node:path';
import { Duplex } from 'node:stream';
import type { HostEvent } from '../channels.ts';
import { fromErrorRecord, MillraceError, toMillraceError } from '../errors.ts';
import { decodeTensors } from '../tensors/binary-codec.ts';
import type { NamedTensors } from '../tensors/tensor.ts';
import type { TensorSpec } from '../tensors/tensor-spec.ts';
import { HostLife, isTerminal } from './host-state.ts';
import type { HostState } from './host-state.ts';
import { FrameDecoder, writeFrame } from './host/frames.ts';
import type { Frame } from './host/frames.ts';
import { protocolVersion } from './host/protocol.ts';
import type { ControlRequest, ControlResponse, DataRequest, DataResponse } from './host/protocol.ts';

export interface ModelHostOptions {
  readonly hostId: string;
  /** Script of the host process. */
  readonly entry: string;
  /** The whole environment of the host process. */
  readonly env: Readonly<Record<string, string>>;
  /** From spawning to the first message. */
  readonly startTimeoutMs: number;
}

export interface LoadRequest {
  readonly key: string;
  readonly path: string;
  readonly digest: string;
  readonly intraOpThreads: number;
}

export interface LoadedSession {
  readonly inputs: readonly TensorSpec[];
  readonly outputs: readonly TensorSpec[];
}

export interface HostRun {
  readonly key: string;
  readonly outputs: readonly string[] | null;
  /** Packed tensors: the parts of one binary-codec body. */
  readonly body: readonly Uint8Array[];
  /** How long the run may take once the host is at it; then the host counts as hung. */
  readonly limitMs: number;
}

export type HostRunOutcome =
  | { readonly kind: 'ran'; readonly tensors: NamedTensors; readonly runMs: number }
  | { readonly kind: 'failed'; readonly error: MillraceError }
  /** The host ended. `started`: it was at this run; otherwise the run waited in its pipe and did no harm. */
  | { readonly kind: 'lost'; readonly loss: HostLoss; readonly started: boolean };

export type HostLoss = 'host_died' | 'host_hung';

interface PendingRun {
  readonly id: number;
  readonly limitMs: number;
  readonly settle: (outcome: HostRunOutcome) => void;
}

interface PendingCall {
  readonly resolve: (response: ControlResponse) => void;
  readonly reject: (error: MillraceError) => void;
}

type ControlCall = Extract<ControlRequest, { id: number }>;

const stderrTailBytes = 2048;

/** Parent side of one host process, from its spawning to its end. It is never restarted: its slot makes another. */
export class ModelHost {
  readonly exited: Promise<void>;
  readonly ready: Promise<void>;
  readonly #life: HostLife;
  readonly #child: ChildProcess;
  readonly #control: Duplex;
  readonly #data: Duplex;
  readonly #calls = new Map<number, PendingCall>();
  /** In the order of sending, which is the order of answers: the host is at the first. */
  readonly #runs: PendingRun[] = [];
  #limit: NodeJS.Timeout | undefined;
  #nextId = 1;
  #loss: HostLoss = 'host_died';
  #stderrTail = '';
  #markReady: () => void = () => {};

  constructor(options: ModelHostOptions) {
    this.#life = new HostLife(options.hostId);
    this.#child = spawn(process.execPath, [options.entry], {
      stdio: ['ignore', 'ignore', 'pipe', 'pipe', 'pipe'],
      env: { ...options.env },
      // Where a graph that names external data would look for it: nothing but this code is there.
      cwd: dirname(options.entry),
    });
    this.#life.spawned(this.#child.pid);
    this.#control = pipeOf(this.#child, 3);
    this.#data = pipeOf(this.#child, 4);
    // `close` comes after the pipes were read to their end: answers that the host sent before it died count.
    this.exited = new Promise<void>((resolve) => {
      this.#child.once('close', () => resolve());
      this.#child.once('error', () => resolve());
    }).then(() => this.#onExit());
    this.ready = this.#started(options.startTimeoutMs);
    this.#receive(this.#control, (frame) => this.#onControl(frame.header as ControlResponse));
    this.#receive(this.#data, (frame) => this.#onData(frame));
    this.#child.stderr?.on('data', (chunk: Buffer) => {
      this.#stderrTail = (this.#stderrTail + chunk.toString()).slice(-stderrTailBytes);
    });
  }

  get state(): HostState {
    return this.#life.state;
  }

  get pid(): number | null {
    return this.#life.pid;
  }

  /** Runs sent and not answered. */
  get inFlightCount(): number {
    return this.#runs.length;
  }

  /** Tells of something that happened in this host. */
  publish(facts: Partial<HostEvent>): void {
    this.#life.publish(facts);
  }

  /** Last words of a host that ended, for the log. */
  get stderrTail(): string {
    return this.#stderrTail.trim();
  }

  /**
   * Creates a session. Throws the host's own error (`invalid_input`, `bad_gateway`), or `service_unavailable`
   * when the host died over it or took longer than `timeoutMs`, in which case it was killed.
   */
  async load(request: LoadRequest, timeoutMs: number): Promise<LoadedSession> {
    const response = await this.#call({ type: 'load', id: this.#nextId++, ...request }, timeoutMs);
    if (response.type !== 'loaded') throw this.#protocolFault(response.type);
    return { inputs: response.inputs, outputs: response.outputs };
  }

  /** Releases a session after its last run. Same errors as `load`. */
  async unload(key: string, timeoutMs: number): Promise<void> {
    await this.#call({ type: 'unload', id: this.#nextId++, key }, timeoutMs);
  }

  /** Never rejects: what became of the run is its outcome. The host must be ready or busy. */
  run(run: HostRun): Promise<HostRunOutcome> {
    const request: DataRequest = { type: 'run', id: this.#nextId++, key: run.key, outputs: run.outputs };
    return new Promise((settle) => {
      try {
        writeFrame(this.#data, request, run.body);
      } catch (error) {
        settle({ kind: 'failed', error: toMillraceError(error) });
        return;
      }
      if (this.state !== 'busy') this.#life.moveTo('busy');
      this.#runs.push({ id: request.id, limitMs: run.limitMs, settle });
      if (this.#runs.length === 1) this.#watchFirst();
    });
  }

  /** Lets the run in hand finish; kills what has not ended after `graceMs`. Resolves when the process is gone. */
  async stop(graceMs: number): Promise<void> {
    if (!isTerminal(this.state) && this.state !== 'draining') {
      this.#life.moveTo('draining');
      this.#send({ type: 'stop' });
    }
    const timer = setTimeout(() => this.kill('did not stop in time'), graceMs);
    await this.exited;
    clearTimeout(timer);
  }

  /** SIGKILL: nothing gentler ends a run. */
  kill(reason: string): void {
    if (!isTerminal(this.state)) this.#life.moveTo('defunct', reason);
    this.#child.kill('SIGKILL');
  }

  async #started(timeoutMs: number): Promise<void> {
    const timer = setTimeout(() => this.kill(`did not start within ${timeoutMs} ms`), timeoutMs);
    const isUp = new Promise<'up'>((resolve) => {
      this.#markReady = (): void => resolve('up');
    });
    const first = await Promise.race([isUp, this.exited]);
    clearTimeout(timer);
    if (first !== 'up')
      throw new MillraceError('service_unavailable', `A host ended while starting: ${this.stderrTail}`);
  }

  async #call(request: ControlCall, timeoutMs: number): Promise<ControlResponse> {
    const answered = new Promise<ControlResponse>((resolve, reject) => {
      this.#calls.set(request.id, { resolve, reject });
    });
    if (isTerminal(this.state)) this.#failCalls();
    else this.#send(request);
    const timer = setTimeout(() => this.kill(`${request.type} took longer than ${timeoutMs} ms`), timeoutMs);
    try {
      return await answered;
    } finally {
      clearTimeout(timer);
    }
  }

  #send(request: ControlRequest): void {
    writeFrame(this.#control, request);
  }

  #receive(pipe: Duplex, onFrame: (frame: Frame) => void): void {
    const decoder = new FrameDecoder();
    pipe.on('data', (chunk: Buffer) => {
      try {
        for (const frame of decoder.push(chunk)) onFrame(frame);
      } catch (error) {
        this.kill(`broke the protocol: ${String(error)}`);
      }
    });
    // A pipe breaks when its host dies; the exit tells the rest.
    pipe.on('error', () => {});
  }

  #onControl(response: ControlResponse): void {
    if (response.type === 'ready') {
      if (response.protocolVersion !== protocolVersion) throw this.#protocolFault('ready');
      if (this.state === 'starting') this.#life.moveTo('ready');
      this.#markReady();
      return;
    }
    const call = this.#calls.get(response.id);
    if (call === undefined) throw this.#protocolFault(response.type);
    this.#calls.delete(response.id);
    if (response.type === 'failed') call.reject(fromErrorRecord(response.error));
    else call.resolve(response);
  }

  #onData(frame: Frame): void {
    const response = frame.header as DataResponse;
    const outcome: HostRunOutcome =
      response.type === 'ran'
        ? { kind: 'ran', tensors: decodeTensors(frame.body), runMs: response.runMs }
        : { kind: 'failed', error: fromErrorRecord(response.error) };
    const [run] = this.#runs;
    if (run?.id !== response.id) throw this.#protocolFault(response.type);
    this.#runs.shift();
    this.#watchFirst();
    if (this.#runs.length === 0 && this.state === 'busy') this.#life.moveTo('ready');
    run.settle(outcome);
  }

  /** The limit runs for the run that the host is at; those behind it have not begun. */
  #watchFirst(): void {
    clearTimeout(this.#limit);
    const [first] = this.#runs;
    if (first === undefined) return;
    this.#limit = setTimeout(() => {
      this.#loss = 'host_hung';
      this.kill(`hung: a run took longer than ${Math.round(first.limitMs)} ms`);
    }, first.limitMs);
  }

  #onExit(): void {
    clearTimeout(this.#limit);
    const { exitCode, signalCode } = this.#child;
    if (this.state === 'draining' && exitCode === 0) this.#life.moveTo('stopped');
    else if (!isTerminal(this.state))
      this.#life.moveTo('defunct', `ended by ${signalCode ?? `code ${exitCode}`}`);
    const runs = this.#runs.splice(0);
    for (const [place, run] of runs.entries())
      run.settle({ kind: 'lost', loss: this.#loss, started: place === 0 });
    this.#failCalls();
  }

  #failCalls(): void {
    for (const [id, call] of this.#calls) {
      this.#calls.delete(id);
      call.reject(new MillraceError('service_unavailable', 'The host of the model ended'));
    }
  }

  #protocolFault(type: string): Error {
    return new Error(`host ${this.#life.hostId} sent ${type} out of turn. This is a bug.`);
  }
}

/** Without file descriptors for it the child has no pipes at all; its `error` then tells that it never was. */
function pipeOf({ stdio }: { readonly stdio?: ChildProcess['stdio'] }, fd: 3 | 4): Duplex {
  const nowhere = {
    read: () => {},
    write: (_chunk: unknown, _encoding: unknown, done: () => void) => done(),
  };
  return (stdio?.[fd] ?? new Duplex(nowhere)) as Duplex;
}
