import type { BatchLedger, ChunkStore } from '../../../../src/queues/batch/batch-ledger.ts';
import { decodeChunkInput, encodeChunkResult } from '../../../../src/queues/batch/chunk.ts';
import type { ChunkInput, ChunkResult } from '../../../../src/queues/batch/chunk.ts';
import type { Tensor } from '../../../../src/tensors/tensor.ts';
import { tensor } from '../../../support/builders.ts';

/**
 * Runs all chunks of a pool that wait, as a worker would, in this process and without a model: the first feature of a
 * row, modulo 3, is its class. One after the other.
 */
export async function runWaiting(
  ledger: Pick<BatchLedger, 'claim' | 'begin' | 'settle'>,
  store: ChunkStore,
  pool: string,
): Promise<void> {
  for (const ref of await ledger.claim(pool, 1000)) {
    const work = await ledger.begin(ref);
    if (work.kind !== 'run') continue;
    const bytes = await store.readInput(ref, work.input);
    if (bytes === undefined) throw new Error('a chunk has no input');
    const result = resultOf(decodeChunkInput(ref, bytes));
    const rowsFailed = result.failures.length;
    await ledger.settle(ref, {
      result: await store.place(ref.batchId, encodeChunkResult(ref, result), 0),
      rowsSucceeded: result.rowCount - rowsFailed,
      rowsFailed,
      rowsRetryable: 0,
    });
  }
}

function resultOf({ refusals, tensors, ...rows }: ChunkInput): ChunkResult {
  const features = [...((tensors.get('X') as Tensor).data as Float32Array)];
  const classes = features.filter((_, index) => index % 5 === 0).map((value) => value % 3);
  const probabilities = classes.flatMap((label) =>
    [0, 1, 2].map((index) => (index === label ? 0.75 : 0.125)),
  );
  return {
    ...rows,
    failures: refusals,
    tensors: new Map([
      ['label', tensor('INT32', [classes.length], classes)],
      ['probabilities', tensor('FP32', [classes.length, 3], probabilities)],
    ]),
  };
}
