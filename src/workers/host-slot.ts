import { performance } from 'node:perf_hooks';
import { setTimeout as delay } from 'node:timers/promises';
import { channels } from '../channels.ts';
import type { FaultEvent } from '../channels.ts';
import { MillraceError, toMillraceError } from '../errors.ts';
import { isTerminal } from './host-state.ts';
import { ModelHost } from './model-host.ts';
import type { HostRun, HostRunOutcome } from './model-host.ts';
import type { LoadSpec, Residents } from './residents.ts';

export interface HostSlotOptions {
  readonly slotId: string;
  readonly entry: string;
  readonly env: Readonly<Record<string, string>>;
  readonly startTimeoutMs: number;
  /** For loading and warming up one version in one host. */
  readonly loadTimeoutMs: number;
  readonly restartDelayMsMax: number;
  readonly residents: Residents;
  /** Called when the slot may take another run, or holds another version. */
  readonly onRoom: () => void;
}

const restartDelayMsFirst = 100;
/** More than the deaths (3) that it takes to single out one killer among 64 rows, twice over. */
const restartsAtOnceMax = 8;
/** A host that served this long proves that the deaths before it had another cause. */
const healthyMs = 10_000;

/** A host in the slot, with what it holds. Its facts end with it: the next host starts from nothing. */
interface Occupant {
  readonly host: ModelHost;
  readonly held: Map<string, LoadSpec>;
  /** Versions that it could not load. */
  readonly refused: Set<string>;
  isLoading: boolean;
  lastRun: Promise<unknown>;
}

/**
 * One host's place in the pool. Hosts come and go in it: one that ends is replaced, at first at once, then
 * after growing delays. A host takes runs when it holds every resident version that it can load.
 */
export class HostSlot {
  readonly #options: HostSlotOptions;
  readonly #closed = new AbortController();
  /** The host that is alive, also while it takes no runs yet. */
  #occupant: Occupant | undefined;
  #isServing = false;
  #reconciling: Promise<void> = Promise.resolve();
  #generation = 0;
  #earlyEnds = 0;
  #life: Promise<void> = Promise.resolve();

  constructor(options: HostSlotOptions) {
    this.#options = options;
  }

  start(): void {
    this.#life = this.#live();
  }

  /** Whether there is a host that takes runs. */
  get isServing(): boolean {
    return this.#isServing;
  }

  /** Of the process in the slot. */
  get pid(): number | null {
    return this.#occupant?.host.pid ?? null;
  }

  get inFlightCount(): number {
    return this.#occupant?.host.inFlightCount ?? 0;
  }

  /** Whether a run of this version may be sent. While a host loads, it takes none: they would wait behind it. */
  accepts(key: string): boolean {
    const occupant = this.#serving();
    return occupant !== undefined && !occupant.isLoading && occupant.held.has(key);
  }

  /** Only after `accepts`. */
  run(run: HostRun): Promise<HostRunOutcome> {
    const occupant = this.#serving();
    if (occupant === undefined) throw new Error('a run was sent to a slot without a host. This is a bug.');
    const outcome = occupant.host.run(run);
    occupant.lastRun = outcome;
    return outcome;
  }

  /** Loads and unloads until the host holds what the residents say. Resolves at once while there is no host. */
  reconcile(): Promise<void> {
    this.#reconciling = this.#reconciling.then(async () => {
      const occupant = this.#serving();
      if (occupant !== undefined) await this.#bringInLine(occupant);
    });
    return this.#reconciling;
  }

  async close(graceMs: number): Promise<void> {
    this.#closed.abort();
    await this.#occupant?.host.stop(graceMs);
    await this.#life;
  }

  #serving(): Occupant | undefined {
    if (!this.#isServing || this.#occupant === undefined) return undefined;
    const { state } = this.#occupant.host;
    return state === 'ready' || state === 'busy' ? this.#occupant : undefined;
  }

  async #live(): Promise<void> {
    while (!this.#closed.signal.aborted) {
      const startedAtMs = performance.now();
      const wasUp = await this.#serveOnce();
      if (this.#closed.signal.aborted) return;
      const wasHealthy = performance.now() - startedAtMs >= healthyMs;
      this.#earlyEnds = wasHealthy ? 0 : this.#earlyEnds + 1;
      const delayMs = restartDelayMs(this.#earlyEnds, wasUp, this.#options.restartDelayMsMax);
      if (delayMs > 0) await delay(delayMs, undefined, { signal: this.#closed.signal }).catch(() => {});
    }
  }

  /** One host from spawning to its end. Returns whether it came up. */
  async #serveOnce(): Promise<boolean> {
    const { entry, env, startTimeoutMs, slotId } = this.#options;
    this.#generation += 1;
    const host = new ModelHost({ hostId: `${slotId}.${this.#generation}`, entry, env, startTimeoutMs });
    const lastRun = Promise.resolve();
    const occupant: Occupant = { host, held: new Map(), refused: new Set(), isLoading: false, lastRun };
    this.#occupant = occupant;
    let isUp = false;
    try {
      await host.ready;
      isUp = true;
      await this.#bringInLine(occupant);
      this.#isServing = true;
      // What became resident since the last look.
      void this.reconcile();
      this.#options.onRoom();
    } catch (error) {
      publishFault(`${slotId} did not come up`, error);
    }
    await host.exited;
    this.#isServing = false;
    this.#occupant = undefined;
    return isUp;
  }

  async #bringInLine(occupant: Occupant): Promise<void> {
    const { residents, onRoom } = this.#options;
    const { host, held, refused } = occupant;
    for (const spec of held.values()) {
      if (residents.has(spec.key)) residents.succeeded(spec.key);
      else await this.#unload(occupant, spec);
    }
    for (;;) {
      const spec = residents.firstNot((key) => held.has(key) || refused.has(key));
      if (spec === undefined || isTerminal(host.state)) return;
      occupant.isLoading = true;
      await occupant.lastRun;
      await this.#load(occupant, spec);
      occupant.isLoading = false;
      onRoom();
    }
  }

  async #unload({ host, held }: Occupant, { key, model, version }: LoadSpec): Promise<void> {
    held.delete(key);
    try {
      await host.unload(key, this.#options.loadTimeoutMs);
      host.publish({ model, version, change: 'unloaded' });
    } catch (error) {
      publishFault(`${key} could not be unloaded`, error);
    }
  }

  async #load({ host, held, refused }: Occupant, spec: LoadSpec): Promise<void> {
    const { residents, loadTimeoutMs } = this.#options;
    const startedAtMs = performance.now();
    const { key, path, digest, intraOpThreads, model, version } = spec;
    try {
      await host.load({ key, path, digest, intraOpThreads }, loadTimeoutMs);
      await warmUp(host, spec, loadTimeoutMs);
      held.set(key, spec);
      residents.succeeded(key);
      host.publish({ model, version, change: 'loaded', durationMs: performance.now() - startedAtMs });
    } catch (error) {
      refused.add(key);
      publishFault(`${key} could not be loaded`, error);
      if (isTerminal(host.state)) return residents.lost(key);
      host.publish({ model, version, change: 'load_failed', reason: toMillraceError(error).message });
      residents.refused(key, toMillraceError(error));
    }
  }
}

/** What the version makes of zeros does not matter, only that memory and kernels are in place. */
async function warmUp(host: ModelHost, { key, warmups }: LoadSpec, limitMs: number): Promise<void> {
  for (const body of warmups) {
    const { kind } = await host.run({ key, outputs: null, body: [body], limitMs });
    if (kind === 'lost')
      throw new MillraceError('service_unavailable', `The host ended while warming up ${key}`);
  }
}

/** A host that came up and ended early is replaced at once a few times; one that never came up is not worth a hurry. */
export function restartDelayMs(earlyEnds: number, wasUp: boolean, delayMsMax: number): number {
  const late = wasUp ? earlyEnds - restartsAtOnceMax : earlyEnds;
  return late <= 0 ? 0 : Math.min(restartDelayMsFirst * 2 ** Math.min(late - 1, 20), delayMsMax);
}

function publishFault(message: string, error: unknown): void {
  const event: FaultEvent = { component: 'hosts', message, error };
  channels.fault.publish(event);
}
