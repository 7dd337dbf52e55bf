import type { BatchRecord } from '../../../../src/queues/batch/batch.ts';

/** A batch of the sample model as the ledger gives it, half done. */
export function batchRecord(changes: Partial<BatchRecord> = {}): BatchRecord {
  return {
    id: 'batch_01J0000000000000000000000A',
    owner: 'key_a',
    model: 'wine',
    version: 'v1.2.3',
    servedDigest: 'e'.repeat(64),
    pool: 'default',
    render: { returnProbability: false, topK: null, outputs: null },
    webhook: null,
    retryOf: null,
    retentionMs: 86_400_000,
    status: 'running',
    paused: false,
    rowsTotal: 1000,
    rowsReceived: 1000,
    rowsSucceeded: 450,
    rowsFailed: 50,
    rowsRetryable: 0,
    chunksReceived: 10,
    chunksDone: 5,
    createdAtMs: Date.UTC(2026, 0, 1),
    startedAtMs: Date.UTC(2026, 0, 1, 0, 0, 1),
    finishedAtMs: null,
    expiresAtMs: null,
    failure: null,
    revision: 7,
    ...changes,
  };
}
