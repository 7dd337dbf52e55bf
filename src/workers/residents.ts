import { MillraceError } from '../errors.ts';
import type { LoadRequest } from './model-host.ts';

/** A version as hosts load it. */
export interface LoadSpec extends LoadRequest {
  readonly model: string;
  readonly version: string;
  /** Packed inputs, run once each after loading. */
  readonly warmups: readonly Uint8Array[];
}

/** A version that every host is to hold. */
export interface Resident {
  readonly spec: LoadSpec;
  /** Resolves when the first host holds it; rejects when it is given up. */
  readonly loaded: Promise<void>;
}

interface Entry extends Resident {
  /** Loaded somewhere once: a host that cannot load it later does not end its residency. */
  isProven: boolean;
  readonly settle: (error?: MillraceError) => void;
  lossCount: number;
}

/** Two hosts lost over the loading of one version are no chance: it is given up before it takes a third. */
const lossesMax = 2;

/** What the hosts of a pool are to hold: each host, also a replacement, brings itself in line with it. */
export class Residents {
  readonly #entries = new Map<string, Entry>();

  add(spec: LoadSpec): Resident {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    // Whoever asked for the version awaits it; nobody else minds.
    promise.catch(() => {});
    const settle = (error?: MillraceError): void => (error === undefined ? resolve() : reject(error));
    const entry: Entry = { spec, loaded: promise, settle, isProven: false, lossCount: 0 };
    this.#entries.set(spec.key, entry);
    return entry;
  }

  remove(key: string, error?: MillraceError): void {
    const entry = this.#entries.get(key);
    this.#entries.delete(key);
    entry?.settle(error ?? new MillraceError('service_unavailable', `${key} was unloaded`));
  }

  /** There are no hosts any more: who still waits for a version is told so. */
  clear(): void {
    for (const key of this.#entries.keys()) this.remove(key);
  }

  has(key: string): boolean {
    return this.#entries.has(key);
  }

  specOf(key: string): LoadSpec | undefined {
    return this.#entries.get(key)?.spec;
  }

  /** The first version that `isHandled` says no to. */
  firstNot(isHandled: (key: string) => boolean): LoadSpec | undefined {
    for (const [key, entry] of this.#entries) if (!isHandled(key)) return entry.spec;
    return undefined;
  }

  succeeded(key: string): void {
    const entry = this.#entries.get(key);
    if (entry === undefined) return;
    entry.isProven = true;
    entry.lossCount = 0;
    entry.settle();
  }

  /** A host answered that it cannot load this version. What serves elsewhere goes on serving there. */
  refused(key: string, error: MillraceError): void {
    if (this.#entries.get(key)?.isProven === false) this.remove(key, error);
  }

  /** A host was lost while it loaded this version. */
  lost(key: string): void {
    const entry = this.#entries.get(key);
    if (entry === undefined || ++entry.lossCount < lossesMax) return;
    this.remove(key, new MillraceError('internal_error', `Loading ${key} ended its host ${lossesMax} times`));
  }
}
