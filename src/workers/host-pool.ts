import { isExpired } from '../deadline.ts';
import { MillraceError } from '../errors.ts';
import type { Lane } from '../queues/job.ts';
import { encodeTensorsInParts } from '../tensors/binary-codec.ts';
import type { NamedTensors } from '../tensors/tensor.ts';
import { HostSlot } from './host-slot.ts';
import type { HostLoss, HostRunOutcome } from './model-host.ts';
import { Residents } from './residents.ts';
import type { LoadSpec } from './residents.ts';
import { RunQueue } from './run-queue.ts';

export interface HostPoolOptions {
  /** Of its hosts, in logs: `host` by default. */
  readonly name?: string;
  readonly hostCount: number;
  readonly hostEntry: string;
  readonly hostEnv: Readonly<Record<string, string>>;
  readonly startTimeoutMs: number;
  readonly loadTimeoutMs: number;
  readonly runTimeoutMs: number;
  /** How long after its deadline a run is left alone before its host counts as hung. */
  readonly hungGraceMs: number;
  readonly restartDelayMsMax: number;
  /** Of the time of the hosts, that bulk runs get though online runs wait. */
  readonly bulkSharePercentMin: number;
  /** The shared clock. */
  readonly nowMs: () => number;
}

export interface PoolRun {
  readonly key: string;
  readonly lane: Lane;
  readonly outputs: readonly string[] | null;
  readonly tensors: NamedTensors;
  /**
   * Of the shared clock. Past it a run that waits is dropped, and a host at work on an online run counts as hung: a bulk
   * run has no caller who waits, so that once begun it has the whole of `runTimeoutMs`.
   */
  readonly deadlineMs: number;
  /** Once it has fired, a run that waits is dropped. */
  readonly signal?: AbortSignal;
}

export type RunOutcome =
  /** `startedAtMs`: on the shared clock, when a host got it. */
  | {
      readonly kind: 'ran';
      readonly tensors: NamedTensors;
      readonly runMs: number;
      readonly startedAtMs: number;
    }
  | { readonly kind: 'failed'; readonly error: MillraceError }
  /** Its deadline passed, or its signal fired, while it waited for a host. */
  | { readonly kind: 'expired' }
  | { readonly kind: HostLoss };

interface RunKind {
  readonly key: string;
  readonly lane: Lane;
}

interface WaitingRun extends RunKind {
  readonly outputs: readonly string[] | null;
  readonly body: readonly Uint8Array[];
  readonly deadlineMs: number;
  readonly settle: (outcome: Settled) => void;
  /** Sent or expired. */
  isTaken: boolean;
  /** Ends the watch over deadline and signal. */
  stopWatching: () => void;
}

type Settled = { readonly host: HostRunOutcome; readonly startedAtMs: number } | 'expired';

/**
 * A run is sent ahead, behind another in its host's pipe, only where that one is over within the time a round trip
 * takes to matter. It cannot be taken back, so it only goes behind one of its own version: one that was short until now
 * and then hangs must not hold up the others. A bulk run must be short itself, or online runs would wait for two.
 */
const prefetchRunMsMax = 5;
const inFlightPerHostMax = 2;
/**
 * For so long after the last prediction one host is left to them, where there are several: otherwise each would wait for
 * a bulk run to end. Ten predictions a second hold the host; one a second costs bulk a tenth of it.
 */
const onlineActiveMs = 100;
/** Of a bulk run of a version that ran none yet: what they are cut for (`batch.run_ms_target`). */
const bulkRunMsAssumed = 25;

/**
 * The hosts of a worker, and the runs that wait for them. Each resident version is loaded into every host, one
 * host after the other, so that the others serve meanwhile. A host has one thread: while it loads, it takes no
 * runs; with a single host, runs wait for the load.
 */
export class HostPool {
  readonly #options: HostPoolOptions;
  readonly #residents = new Residents();
  readonly #slots: readonly HostSlot[];
  readonly #queue: RunQueue<WaitingRun>;
  /** What was sent to each host last. */
  readonly #lastRuns = new Map<HostSlot, RunKind>();
  /** Length of the last run by version, in each lane: decides about prefetching. */
  readonly #lastRunMs: Readonly<Record<Lane, Map<string, number>>> = { online: new Map(), bulk: new Map() };
  #bulkInFlightCount = 0;
  /** By the shared clock: when the last online run came. */
  #lastOnlineAtMs = Number.NEGATIVE_INFINITY;
  #reconciling: Promise<void> = Promise.resolve();
  readonly #whenServing = Promise.withResolvers<void>();
  #isClosed = false;

  constructor(options: HostPoolOptions) {
    this.#options = options;
    this.#queue = new RunQueue(options.bulkSharePercentMin);
    const { name = 'host', hostEntry, hostEnv, startTimeoutMs, loadTimeoutMs, restartDelayMsMax } = options;
    this.#slots = Array.from({ length: options.hostCount }, (_, index) => {
      return new HostSlot({
        slotId: `${name}-${index}`,
        entry: hostEntry,
        env: hostEnv,
        startTimeoutMs,
        loadTimeoutMs,
        restartDelayMsMax,
        residents: this.#residents,
        onRoom: () => this.#onRoom(),
      });
    });
  }

  /** Starts the hosts; `serving` tells when the first is up. */
  start(): void {
    for (const slot of this.#slots) slot.start();
  }

  /** Resolves when a host is up. While none can be started, hosts are tried again and again. */
  serving(): Promise<void> {
    return this.#whenServing.promise;
  }

  get hostCount(): number {
    return this.#slots.length;
  }

  get servingHostCount(): number {
    return this.#slots.filter((slot) => slot.isServing).length;
  }

  get busyHostCount(): number {
    return this.#slots.filter((slot) => slot.inFlightCount > 0).length;
  }

  /** Pids of the host processes that are alive. */
  get pids(): readonly number[] {
    return this.#slots.flatMap((slot) => slot.pid ?? []);
  }

  /**
   * Makes a version resident. Resolves when one host holds it; the others follow. Throws the host's error when
   * it cannot be loaded, `internal_error` when it ended two hosts.
   */
  async load(spec: LoadSpec): Promise<void> {
    if (this.#isClosed) throw new MillraceError('service_unavailable', 'The hosts are closed');
    const resident = this.#residents.add(spec);
    void this.#reconcile();
    await resident.loaded;
  }

  /** Ends a version's residency; hosts release it one after the other. No run of it may be waiting. */
  unload(key: string): void {
    this.#residents.remove(key);
    for (const lastRunMs of Object.values(this.#lastRunMs)) lastRunMs.delete(key);
    void this.#reconcile();
  }

  /** How the hosts load a resident version. Undefined for one that is not, or no longer. */
  specOf(key: string): LoadSpec | undefined {
    return this.#residents.specOf(key);
  }

  /** Whether a version is (or is being made) resident. Versions that end their hosts lose their place. */
  isResident(key: string): boolean {
    return this.#residents.has(key);
  }

  /**
   * Runs a loaded version on some host. Its death under the run is the outcome; a run that only waited in the pipe
   * of a dead host goes back to the queue.
   */
  async run(run: PoolRun): Promise<RunOutcome> {
    const body = encodeTensorsInParts(run.tensors);
    for (;;) {
      const settled = await this.#enqueue(run, body);
      if (settled === 'expired') return { kind: 'expired' };
      const { host, startedAtMs } = settled;
      if (host.kind === 'ran') {
        this.#lastRunMs[run.lane].set(run.key, host.runMs);
        return { kind: 'ran', tensors: host.tensors, runMs: host.runMs, startedAtMs };
      }
      if (host.kind === 'failed') return host;
      if (host.started) return { kind: host.loss };
    }
  }

  /** Stops every host; what still runs is given `graceMs`, what still waits is dropped as expired. */
  async close(graceMs: number): Promise<void> {
    this.#isClosed = true;
    await Promise.all(this.#slots.map((slot) => slot.close(graceMs)));
    this.#residents.clear();
    for (;;) {
      const run = this.#queue.take(() => true);
      if (run === undefined) return;
      this.#expire(run);
    }
  }

  #enqueue(
    { key, lane, outputs, deadlineMs, signal }: PoolRun,
    body: readonly Uint8Array[],
  ): Promise<Settled> {
    if (this.#isClosed || signal?.aborted === true) return Promise.resolve('expired');
    if (lane === 'online') this.#lastOnlineAtMs = this.#options.nowMs();
    return new Promise((settle) => {
      const run = { key, lane, outputs, body, deadlineMs, settle, isTaken: false, stopWatching: () => {} };
      this.#queue.push(run);
      this.#dispatch();
      if (!run.isTaken) this.#watch(run, signal);
    });
  }

  /** While a run waits, a timer stands for its deadline. */
  #watch(run: WaitingRun, signal: AbortSignal | undefined): void {
    const drop = (): void => {
      if (this.#queue.remove(run)) this.#expire(run);
    };
    const timer = setTimeout(drop, Math.max(0, run.deadlineMs - this.#options.nowMs()));
    signal?.addEventListener('abort', drop);
    run.stopWatching = (): void => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', drop);
    };
  }

  #expire(run: WaitingRun): void {
    run.stopWatching();
    run.settle('expired');
  }

  /**
   * Idle hosts first; then one more run behind a short one of the same version, so that its host never waits for the
   * pipe. While bulk is due nothing is sent ahead: no host would ever be idle for it.
   */
  #dispatch(): void {
    for (const slot of this.#slots) if (slot.inFlightCount === 0) this.#sendTo(slot, () => true);
    for (const slot of this.#slots) {
      if (this.#queue.isBulkDue) return;
      const last = this.#lastRuns.get(slot);
      if (last === undefined || slot.inFlightCount === 0 || slot.inFlightCount >= inFlightPerHostMax)
        continue;
      if (this.#isShort(last))
        this.#sendTo(slot, (run) => run.key === last.key && (run.lane === 'online' || this.#isShort(run)));
    }
  }

  /** While predictions come, bulk has all hosts but one, unless there is one only or it has fallen short of its share. */
  #mayRunBulk(): boolean {
    const { hostCount, nowMs } = this.#options;
    if (hostCount === 1 || this.#bulkInFlightCount < hostCount - 1 || this.#queue.isBulkDue) return true;
    return nowMs() - this.#lastOnlineAtMs >= onlineActiveMs;
  }

  #isShort({ lane, key }: RunKind): boolean {
    const lastRunMs = this.#lastRunMs[lane].get(key);
    return lastRunMs !== undefined && lastRunMs <= prefetchRunMsMax;
  }

  #sendTo(slot: HostSlot, wanted: (run: WaitingRun) => boolean): void {
    for (;;) {
      const mayRunBulk = this.#mayRunBulk();
      const run = this.#queue.take(
        (waiting) =>
          (waiting.lane === 'online' || mayRunBulk) && slot.accepts(waiting.key) && wanted(waiting),
      );
      if (run === undefined) return;
      run.stopWatching();
      run.isTaken = true;
      if (!isExpired(run.deadlineMs, this.#options.nowMs())) return void this.#send(slot, run);
      run.settle('expired');
    }
  }

  async #send(slot: HostSlot, run: WaitingRun): Promise<void> {
    const { runTimeoutMs, hungGraceMs, nowMs } = this.#options;
    const startedAtMs = nowMs();
    const { key, lane, outputs, body } = run;
    const dueMs = lane === 'bulk' ? runTimeoutMs : Math.max(0, run.deadlineMs - startedAtMs) + hungGraceMs;
    const expectedMs = this.#lastRunMs[lane].get(key) ?? bulkRunMsAssumed;
    this.#lastRuns.set(slot, { key, lane });
    this.#queue.began(run, expectedMs);
    if (lane === 'bulk') this.#bulkInFlightCount += 1;
    const host = await slot.run({ key, outputs, body, limitMs: Math.min(runTimeoutMs, dueMs) });
    if (lane === 'bulk') this.#bulkInFlightCount -= 1;
    this.#queue.ended(run, expectedMs, host.kind === 'ran' ? host.runMs : nowMs() - startedAtMs);
    run.settle({ host, startedAtMs });
    this.#dispatch();
  }

  #onRoom(): void {
    if (this.servingHostCount > 0) this.#whenServing.resolve();
    this.#dispatch();
  }

  #reconcile(): Promise<void> {
    this.#reconciling = this.#reconciling.then(async () => {
      for (const slot of this.#slots) await slot.reconcile();
    });
    return this.#reconciling;
  }
}
