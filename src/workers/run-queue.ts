import type { Lane } from '../queues/job.ts';

/**
 * Runs that wait for a host: online before bulk, each in order of arrival. Bounded by what the consumers
 * take at a time. A share of the hosts for bulk under lasting online load belongs in `take`.
 */
export class RunQueue<Run extends { readonly lane: Lane }> {
  readonly #waiting: Readonly<Record<Lane, Run[]>> = { online: [], bulk: [] };

  push(run: Run): void {
    this.#waiting[run.lane].push(run);
  }

  /** The first run that `accepts` says yes to, removed. */
  take(accepts: (run: Run) => boolean): Run | undefined {
    return takeFrom(this.#waiting.online, accepts) ?? takeFrom(this.#waiting.bulk, accepts);
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
