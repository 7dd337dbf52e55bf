import { channels } from '../channels.ts';
import type { FaultEvent, RunEvent } from '../channels.ts';
import { MillraceError, toMillraceError } from '../errors.ts';
import { compilePostprocess } from '../processing/postprocess/compile.ts';
import { compilePreprocess } from '../processing/preprocess/compile.ts';
import type { Lane } from '../queues/job.ts';
import type { ModelVersion } from '../registry/model-version.ts';
import { sliceRows } from '../tensors/batch.ts';
import type { NamedTensors } from '../tensors/tensor.ts';
import type { HostPool, PoolRun, RunOutcome } from './host-pool.ts';
import type { Attempt } from './isolate.ts';
import type { Lease } from './model-pool.ts';
import type { Quarantine } from './quarantine.ts';
import { fromRunOutputs, toRunInputs } from './run-plan.ts';
import type { RowRange } from './run-plan.ts';
import type { VersionFaults } from './version-faults.ts';

export interface RangeRunsOptions {
  readonly hosts: HostPool;
  readonly quarantine: Quarantine;
  readonly faults: VersionFaults;
}

/** Rows of which ranges are run. */
export interface RowsToRun {
  /** Of the job or chunk they belong to, for faults. */
  readonly name: string;
  readonly version: ModelVersion;
  readonly lease: Lease;
  readonly lane: Lane;
  readonly outputs: readonly string[] | null;
  readonly tensors: NamedTensors;
  /** Of a run that begins now. */
  readonly deadlineMs: () => number;
  /** Once it has fired, what would be computed nobody reads: no run begins. */
  readonly signal: AbortSignal;
  /** Its next run may end its host, so that it gets the one apart. */
  readonly isSuspect: boolean;
}

/** A third start may be a job that killed two workers. */
const startsSuspected = 3;

/** Whether work that was started so often, of such a version, must be expected to end its host. */
export function isSuspect(startCount: number, version: ModelVersion, faults: VersionFaults): boolean {
  return startCount >= startsSuspected || faults.isRepeated(version);
}

/**
 * Runs ranges of rows: preprocess, a host, postprocess. After a host died of one, or hung in it, the following run in
 * quarantine. Keeps what has been measured and what went wrong.
 */
export class RangeRuns {
  readonly #options: RangeRunsOptions;
  readonly #rows: RowsToRun;
  #isSuspect: boolean;
  /** When the first run began; undefined while none has. By the shared clock. */
  startedAtMs: number | undefined;
  runMs = 0;
  /** Of the greatest run. */
  runRows = 0;
  /** The last thing that went wrong. */
  outcome: RunEvent['outcome'] = 'succeeded';

  constructor(options: RangeRunsOptions, rows: RowsToRun) {
    this.#options = options;
    this.#rows = rows;
    this.#isSuspect = rows.isSuspect;
  }

  /** Never rejects: what goes wrong is the outcome. `onRan` is told the length of the run. */
  async attempt(range: RowRange, onRan?: (runMs: number) => void): Promise<Attempt<NamedTensors>> {
    const { version, lease, lane, outputs, tensors, deadlineMs, signal } = this.#rows;
    const { batch } = version.signature;
    if (signal.aborted) return { kind: 'expired' };
    const postprocess = compilePostprocess(version);
    try {
      const inputs = compilePreprocess(version)(sliceRows(tensors, range.fromRow, range.rowCount));
      const outcome = await this.#runOnce(range, {
        key: lease.key,
        lane,
        outputs: postprocess.graphOutputs(outputs),
        tensors: toRunInputs(inputs, batch),
        deadlineMs: deadlineMs(),
        signal,
      });
      if (outcome.kind !== 'ran') {
        this.#note(range, outcome);
        return outcome;
      }
      this.#measure(range, outcome);
      onRan?.(outcome.runMs);
      const raw = fromRunOutputs(outcome.tensors, range.rowCount, batch);
      return { kind: 'ran', value: postprocess.apply(raw, range.rowCount, outputs) };
    } catch (error) {
      const outcome = { kind: 'failed', error: toMillraceError(error) } as const;
      this.#note(range, outcome);
      return outcome;
    }
  }

  /** A host that died under a run may have died of something else: a lone row runs once more, then it is the row. */
  async #runOnce(range: RowRange, run: PoolRun): Promise<RunOutcome> {
    const { hosts, quarantine } = this.#options;
    if (!this.#isSuspect) {
      const outcome = await hosts.run(run);
      this.#isSuspect = outcome.kind === 'host_died' || outcome.kind === 'host_hung';
      if (outcome.kind !== 'host_died' || range.rowCount > 1) return outcome;
    }
    const spec = hosts.specOf(run.key);
    // It ended hosts also by being loaded, and was given up meanwhile.
    if (spec === undefined)
      throw new MillraceError('service_unavailable', `${run.key} is no longer loaded`, { retryAfterS: 1 });
    return quarantine.run(spec, run);
  }

  #measure({ rowCount }: RowRange, outcome: Extract<RunOutcome, { kind: 'ran' }>): void {
    this.startedAtMs ??= outcome.startedAtMs;
    this.runMs += outcome.runMs;
    this.runRows = Math.max(this.runRows, rowCount);
  }

  /**
   * A lone row that kills is an alarm, and so is a run that fails through no fault of its input: alone, each of its rows
   * may well succeed, and no answer shows it.
   */
  #note(range: RowRange, outcome: Exclude<Attempt<unknown>, { kind: 'ran' }>): void {
    const { faults } = this.#options;
    const { name, version } = this.#rows;
    this.outcome = outcome.kind;
    if (outcome.kind === 'failed' && outcome.error.code === 'internal_error')
      publishFault(`A run of ${version.model}/${version.version} failed`, outcome.error);
    if (outcome.kind === 'host_hung') faults.record(version, outcome.kind);
    if (outcome.kind !== 'host_died' || range.rowCount > 1) return;
    faults.record(version, outcome.kind);
    publishFault(`A row of ${name} ends the host of ${version.model}/${version.version}`);
  }
}

function publishFault(message: string, error?: unknown): void {
  channels.fault.publish({ component: 'worker', message, error } satisfies FaultEvent);
}
