import type { CostCurves } from '../../queues/batch/cost-curves.ts';

export interface ChunkSizeOptions {
  readonly costs: Pick<CostCurves, 'rowsFor'>;
  readonly servedDigest: string;
  readonly runMsTarget: number;
  readonly rowsMax: number;
}

/** While no worker has measured the version. */
const rowsUnmeasured = 64;
/** What its rows take is first seen while the first batch of a version is on its way. */
const askAgainMs = 200;

/** How many rows a chunk should have, by how long they run: asked anew from time to time, and never waited for. */
export class ChunkSize {
  readonly #options: ChunkSizeOptions;
  #rows = rowsUnmeasured;
  #askedAtMs = Number.NEGATIVE_INFINITY;

  constructor(options: ChunkSizeOptions) {
    this.#options = options;
  }

  readonly rows = (): number => {
    if (performance.now() - this.#askedAtMs > askAgainMs) void this.ask();
    return Math.min(this.#rows, this.#options.rowsMax);
  };

  /** Never rejects: without an answer what was known stands. */
  async ask(): Promise<void> {
    const { costs, servedDigest, runMsTarget } = this.#options;
    this.#askedAtMs = performance.now();
    const rows = await costs.rowsFor(servedDigest, runMsTarget).catch(() => undefined);
    this.#rows = rows ?? this.#rows;
  }
}
