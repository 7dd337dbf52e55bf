import type { Lane } from '../queues/job.ts';
import { LaneShare } from './lane-share.ts';

/**
 * Runs that wait for a host: online before bulk, unless bulk has fallen short of its share of the hosts; each lane in
 * order of arrival. Bounded by what the consumers take at a time.
 */
export class RunQueue<Run extends { readonly lane: Lane }> {
  readonly #waiting: Readonly<Record<Lane, Run[]>> = { online: [], bulk: [] };
  readonly #share: LaneShare;

  constructor(bulkSharePercentMin: number) {
    this.#share = new LaneShare(bulkSharePercentMin);
  }

  push(run: Run): void {
    this.#waiting[run.lane].push(run);
  }

  /** The first run that `accepts` says yes to, removed. */
  take(accepts: (run: Run) => boolean): Run | undefined {
    const { online, bulk } = this.#waiting;
    return this.#share.isBulkDue
      ? (takeFrom(bulk, accepts) ?? takeFrom(online, accepts))
      : (takeFrom(online, accepts) ?? takeFrom(bulk, accepts));
  }

  /** Whether the next free host belongs to a bulk run that waits. */
  get isBulkDue(): boolean {
    return this.#share.isBulkDue && this.#waiting.bulk.length > 0;
  }

  /** A run that was taken goes to a host, which it will likely hold for so long. */
  began(run: Run, expectedMs: number): void {
    if (run.lane === 'bulk') this.#share.bulkBegan(expectedMs);
  }

  /** And did hold it for so long. */
  ended(run: Run, expectedMs: number, ms: number): void {
    if (run.lane === 'bulk') this.#share.bulkEnded(expectedMs, ms);
    else if (this.#waiting.bulk.length > 0) this.#share.onlineRan(ms);
  }

  /** False when the run was no longer waiting. */
  remove(run: Run): boolean {
    return takeFrom(this.#waiting[run.lane], (other) => other === run) !== undefined;
  }

  get length(): number {
    return this.#waiting.online.length + this.#waiting.bulk.length;
  }
}

function takeFrom<Run>(runs: Run[], accepts: (run: Run) => boolean): Run | undefined {
  const index = runs.findIndex(accepts);
  return index === -1 ? undefined : runs.splice(index, 1)[0];
}
