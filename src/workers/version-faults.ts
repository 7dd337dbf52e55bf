import { channels } from '../channels.ts';
import type { VersionFaultEvent } from '../channels.ts';

/** How long a version stays flagged after its last fault: long enough that somebody sees it. */
const flaggedMs = 600_000;
/** So many deaths within so long: the version is at it again and again, and its runs belong in quarantine. */
const repeatCount = 3;
const repeatMs = 60_000;

interface VersionName {
  readonly model: string;
  readonly version: string;
}

interface FaultRecord {
  /** When the last fault was. */
  lastMs: number;
  /** When hosts died of it: the last `repeatCount` times, oldest first. */
  deathsMs: readonly number[];
}

/** Which versions ended or hung their hosts here, and when. Only what was proven counts: a row that did it alone. */
export class VersionFaults {
  readonly #nowMs: () => number;
  /** By `model/version`. */
  readonly #records = new Map<string, FaultRecord>();

  /** `nowMs`: any clock that does not step. */
  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
  }

  record({ model, version }: VersionName, reason: VersionFaultEvent['reason']): void {
    const name = `${model}/${version}`;
    const lastMs = this.#nowMs();
    const before = this.#records.get(name)?.deathsMs ?? [];
    const deathsMs = reason === 'host_died' ? [...before, lastMs].slice(-repeatCount) : before;
    this.#records.set(name, { lastMs, deathsMs });
    channels.versionFault.publish({ model, version, reason } satisfies VersionFaultEvent);
  }

  /** `model/version` of those with a recent fault. */
  get flagged(): readonly string[] {
    const sinceMs = this.#nowMs() - flaggedMs;
    for (const [name, { lastMs }] of this.#records) if (lastMs < sinceMs) this.#records.delete(name);
    return [...this.#records.keys()];
  }

  /**
   * Whether the version ended so many hosts lately that its next run must be expected to. Hung runs do not count: under
   * overload a good run that began shortly before its deadline looks like one, and a single host would make it worse.
   */
  isRepeated({ model, version }: VersionName): boolean {
    const deathsMs = this.#records.get(`${model}/${version}`)?.deathsMs ?? [];
    const [oldestMs] = deathsMs;
    return deathsMs.length === repeatCount && oldestMs !== undefined && oldestMs > this.#nowMs() - repeatMs;
  }
}
