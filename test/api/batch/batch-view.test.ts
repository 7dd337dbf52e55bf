import { expect } from 'chai';
import { toBatchObject } from '../../../src/api/batch/batch-view.ts';
import { batchRecord } from './support/batch-record.ts';

describe('toBatchObject', () => {
  it('has the fields of the contract', () => {
    expect(toBatchObject(batchRecord())).to.deep.equal({
      id: 'batch_01J0000000000000000000000A',
      status: 'running',
      paused: false,
      model_name: 'wine',
      model_version: 'v1.2.3',
      counts: { total: 1000, succeeded: 450, failed: 50 },
      progress: 0.5,
      eta_seconds: null,
      created_at: '2026-01-01T00:00:00.000Z',
      started_at: '2026-01-01T00:00:01.000Z',
      finished_at: null,
      expires_at: null,
      error: null,
      retry_of: null,
      links: {
        self: '/api/v1/batch/batch_01J0000000000000000000000A',
        results: '/api/v1/batch/batch_01J0000000000000000000000A/results',
        events: '/api/v1/batch/batch_01J0000000000000000000000A/events',
      },
    });
  });

  it('tells the time to the end from the rate so far', () => {
    const startedAtMs = 1_000_000;
    const eta = (changes: Parameters<typeof batchRecord>[0]) =>
      toBatchObject(batchRecord({ startedAtMs, ...changes }), startedAtMs + 10_000).eta_seconds;
    expect(eta({})).to.equal(10);
    expect(eta({ rowsSucceeded: 50, rowsFailed: 50 })).to.equal(90);
    expect(eta({ rowsSucceeded: 0, rowsFailed: 0 })).to.equal(null);
    expect(eta({ rowsTotal: null })).to.equal(null);
    expect(eta({ paused: true })).to.equal(null);
    expect(eta({ status: 'completed' })).to.equal(null);
  });

  it('has no progress until the number of rows is known, and all of it only when all are done', () => {
    const progress = (changes: Parameters<typeof batchRecord>[0]) =>
      toBatchObject(batchRecord(changes)).progress;
    expect(progress({ rowsTotal: null })).to.equal(0);
    expect(progress({ rowsTotal: 1_000_000, rowsSucceeded: 999_999, rowsFailed: 0 })).to.equal(0.9999);
    expect(progress({ rowsTotal: 3, rowsSucceeded: 2, rowsFailed: 1, status: 'completed' })).to.equal(1);
    expect(progress({ rowsTotal: 0, rowsSucceeded: 0, rowsFailed: 0, status: 'completed' })).to.equal(1);
  });

  it('says why a batch failed and which one it runs again', () => {
    const seen = toBatchObject(
      batchRecord({
        status: 'failed',
        failure: { code: 'timeout', message: 'The upload broke off' },
        retryOf: 'batch_01J00000000000000000000000',
      }),
    );
    expect(seen.error).to.deep.equal({ code: 'timeout', message: 'The upload broke off', details: null });
    expect(seen.retry_of).to.equal('batch_01J00000000000000000000000');
    expect(seen.links.retry_of).to.equal('/api/v1/batch/batch_01J00000000000000000000000');
  });
});
