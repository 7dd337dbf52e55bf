import { expect } from 'chai';
import type { InferenceResult } from '../../src/queues/result.ts';
import { VersionLoad } from '../../src/queues/version-load.ts';
import { sampleResult, sampleVersion } from './builders.ts';

const limits = { batchRowsMax: 64, batchBytesMax: 1000, timeoutMs: 2000 };
const ran = (over: Partial<InferenceResult> = {}): InferenceResult =>
  sampleResult({ timings: { queueMs: 0, waitMs: 0, runMs: 1 }, ...over });

describe('version load', () => {
  it('learns from the second generation of jobs on: the first may have waited for the model to load', () => {
    const load = new VersionLoad(sampleVersion(), limits);
    expect(load.isCold).to.equal(true);
    load.settled(1, 30_000, ran(), true);
    expect(load.isCold).to.equal(false);
    expect(load.time.known).to.equal(false);
    load.settled(1, 5, ran(), false);
    expect(load.time.roundTripMs(1)).to.equal(5);
  });

  it('learns nothing from jobs without a run, or with rows that failed and were run again', () => {
    const load = new VersionLoad(sampleVersion(), limits);
    load.settled(1, 1, sampleResult({ timings: { queueMs: 0, waitMs: 0, runMs: 0 } }), false);
    const error = { code: 'internal_error', message: '' } as const;
    load.settled(1, 900, ran({ failures: [{ entryIndex: 0, reason: 'failed', error }] }), false);
    expect(load.time.known).to.equal(false);
  });

  it('learns from jobs that were given up, unless that was before they could be back', () => {
    const load = new VersionLoad(sampleVersion(), limits);
    load.settled(1, 50, ran(), false);
    load.lost(1, 3, false);
    expect(load.time.roundTripMs(1)).to.equal(50);
    load.lost(1, 2000, true);
    expect(load.time.roundTripMs(1)).to.equal(50);
    load.lost(1, 2000, false);
    expect(load.time.roundTripMs(1)).to.be.greaterThan(200);
  });

  it('bounds the next job to what is served in an eighth of the deadline, the manifest’s where it has one', () => {
    for (const [timeoutMs, rowsMax] of [
      [undefined, 25],
      [800, 10],
    ] as const) {
      const manifest = timeoutMs === undefined ? {} : { timeout_ms: timeoutMs };
      const load = new VersionLoad(sampleVersion(manifest), limits);
      expect(load.bounds).to.deep.equal({ rowsMax: 64, bytesMax: 1000 });
      for (const rows of [1, 64, 1, 64]) load.settled(rows, 9.9 * rows, ran(), false);
      expect(load.bounds).to.deep.equal({ rowsMax, bytesMax: 1000 });
    }
  });

  it('lets a batch grow while its run is short, or takes as long as four of one row', () => {
    const rowsOf = (baseMs: number, rowMs: number): number => {
      const load = new VersionLoad(sampleVersion(), limits);
      for (const rows of [1, 64, 1, 64]) {
        const timings = { queueMs: 0, waitMs: 0, runMs: baseMs + rowMs * rows };
        load.settled(rows, 1, ran({ timings }), false);
      }
      return load.bounds.rowsMax;
    };
    expect(rowsOf(10, 0), 'as long for many').to.equal(64);
    expect(rowsOf(0, 0.3), 'short').to.equal(64);
    expect(rowsOf(0, 0.99), 'by the row').to.equal(25);
    expect(rowsOf(0, 99), 'long, by the row').to.equal(4);
    expect(rowsOf(100, 10), 'some of both').to.equal(34);
  });
});
