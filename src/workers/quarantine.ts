import { isExpired } from '../deadline.ts';
import { toMillraceError } from '../errors.ts';
import type { HostPool, PoolRun, RunOutcome } from './host-pool.ts';
import type { LoadSpec } from './residents.ts';

export interface QuarantineOptions {
  /** A pool of one host, started. Called for the first run, and again after the host was idle for `idleMs`. */
  readonly openHosts: () => HostPool;
  /** How long the host stays without a run. Long enough that a killer that comes again does not wait for its start. */
  readonly idleMs: number;
  /** What its host is given to end in. */
  readonly stopMs: number;
  /** The shared clock. */
  readonly nowMs: () => number;
}

/**
 * A host apart for runs that may end it, so that the hosts that serve are not killed again and again by one job.
 * One run at a time, of one version at a time: who dies there has nobody beside it, and it costs the memory of one
 * version. It is there only while it is needed.
 */
export class Quarantine {
  readonly #options: QuarantineOptions;
  #hosts: HostPool | undefined;
  /** Key of the version that the host holds. */
  #held: string | undefined;
  #turn: Promise<void> = Promise.resolve();
  #waitingCount = 0;
  #idleTimer: NodeJS.Timeout | undefined;
  #isClosed = false;

  constructor(options: QuarantineOptions) {
    this.#options = options;
  }

  get isOpen(): boolean {
    return this.#hosts !== undefined;
  }

  /** Same outcomes as `HostPool.run`; never rejects. Loads the version first where need be. */
  async run(spec: LoadSpec, run: PoolRun): Promise<RunOutcome> {
    const late = Promise.withResolvers<RunOutcome>();
    const expire = (): void => late.resolve({ kind: 'expired' });
    const timer = setTimeout(expire, Math.max(0, run.deadlineMs - this.#options.nowMs()));
    const begun = (): void => clearTimeout(timer);
    const ended = this.#inTurn(() => this.#runNow(spec, run, begun));
    try {
      return await Promise.race([ended, late.promise]);
    } finally {
      clearTimeout(timer);
    }
  }

  /** What waits or runs ends as expired or as a loss. */
  async close(): Promise<void> {
    this.#isClosed = true;
    clearTimeout(this.#idleTimer);
    // Before the turn that waits for them.
    await this.#closeHosts();
    await this.#turn;
  }

  async #inTurn(step: () => Promise<RunOutcome>): Promise<RunOutcome> {
    clearTimeout(this.#idleTimer);
    this.#waitingCount += 1;
    const outcome = this.#turn.then(step).catch(toFailure);
    this.#turn = outcome.then(() => {
      this.#waitingCount -= 1;
      if (this.#waitingCount === 0 && !this.#isClosed)
        this.#idleTimer = setTimeout(() => {
          this.#turn = this.#closeHosts();
        }, this.#options.idleMs);
    });
    return outcome;
  }

  /** `begun` is called when the version is loaded: from there on the pool keeps to the deadline. */
  async #runNow(spec: LoadSpec, run: PoolRun, begun: () => void): Promise<RunOutcome> {
    const { nowMs, openHosts } = this.#options;
    if (this.#isClosed || run.signal?.aborted === true || isExpired(run.deadlineMs, nowMs()))
      return { kind: 'expired' };
    this.#hosts ??= openHosts();
    const hosts = this.#hosts;
    if (this.#held !== spec.key || !hosts.isResident(spec.key)) {
      if (this.#held !== undefined) hosts.unload(this.#held);
      this.#held = spec.key;
      await hosts.load(spec);
    }
    begun();
    return hosts.run(run);
  }

  async #closeHosts(): Promise<void> {
    const hosts = this.#hosts;
    this.#hosts = undefined;
    this.#held = undefined;
    await hosts?.close(this.#options.stopMs);
  }
}

function toFailure(error: unknown): RunOutcome {
  return { kind: 'failed', error: toMillraceError(error) };
}
