import { channels } from '../channels.ts';
import type { VersionFaultEvent } from '../channels.ts';

/** How long a version stays flagged after its last fault: long enough that somebody sees it. */
const flaggedMs = 600_000;
/** As many faults within as long: the version is at it again and again, and its runs belong in quarantine. */
const repeatCount = 3;
const repeatMs = 60_000;

/** Which versions ended or hung their hosts here, and when. Only what was proven counts: a row that did it alone. */
export class VersionFaults {
  readonly #nowMs: () => number;
  /** By `model/version`: when its last faults were, at most `repeatCount`, oldest first. */
  readonly #faults = new Map<string, number[]>();

  /** `nowMs`: any clock that does not step. */
  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
  }

  record({ model, version }: VersionName, reason: VersionFaultEvent['reason']): void {
    const name = `${model}/${version}`;
    this.#faults.set(name, [...(this.#faults.get(name) ?? []), this.#nowMs()].slice(-repeatCount));
    channels.versionFault.publish({ model, version, reason } satisfies VersionFaultEvent);
  }

  /** `model/version` of those with a recent fault. */
  get flagged(): readonly string[] {
    const sinceMs = this.#nowMs() - flaggedMs;
    for (const [name, faults] of this.#faults) if ((faults.at(-1) ?? 0) < sinceMs) this.#faults.delete(name);
    return [...this.#faults.keys()];
  }

  /** Whether the version had so many faults lately that its next run must be expected to have one. */
  isRepeated({ model, version }: VersionName): boolean {
    const faults = this.#faults.get(`${model}/${version}`);
    const [oldest] = faults ?? [];
    return faults?.length === repeatCount && oldest !== undefined && oldest > this.#nowMs() - repeatMs;
  }
}

interface VersionName {
  readonly model: string;
  readonly version: string;
}
