import type { CoalescedAnswer, CoalescerRequest } from '../../../src/queues/coalescer.ts';
import type { Coalescer } from '../../../src/queues/coalescer.ts';
import type { Tensor } from '../../../src/tensors/tensor.ts';
import { resultSchemaVersion } from '../../../src/queues/result.ts';
import { tensor } from '../../support/builders.ts';

/** Everything behind the coalescer's seam, in this process: what is asked can be looked at, held and failed. */
export class AnsweringCoalescer implements Coalescer {
  readonly requests: CoalescerRequest[] = [];
  readonly pendingRows = 0;
  readonly jobsInFlight = 0;
  /** In place of an answer at once. */
  respond: ((request: CoalescerRequest) => Promise<CoalescedAnswer>) | undefined;
  readonly #arrivals: ((request: CoalescerRequest) => void)[] = [];

  submit(request: CoalescerRequest): Promise<CoalescedAnswer> {
    this.requests.push(request);
    for (const arrived of this.#arrivals.splice(0)) arrived(request);
    return this.respond?.(request) ?? Promise.resolve(answerTo(request));
  }

  /** The next request that is submitted. */
  next(): Promise<CoalescerRequest> {
    return new Promise((resolve) => this.#arrivals.push(resolve));
  }

  close(): void {}
}

/** Classification: class 1 of probabilities 0.1, 0.7, 0.2; regression: 152.5; others get their inputs back. */
export function answerTo(request: CoalescerRequest): CoalescedAnswer {
  return {
    result: {
      schemaVersion: resultSchemaVersion,
      id: 'job',
      workerId: 'worker',
      failures: [],
      tensors: tensorsFor(request),
      timings: { queueMs: 0.5, waitMs: 0.25, runMs: 0.125 },
      batchRows: 1,
    },
    firstRow: 0,
    rowCount: 1,
    batchWaitMs: 0.25,
  };
}

function tensorsFor({ version, tensors }: CoalescerRequest): Map<string, Tensor> {
  switch (version.roles.task) {
    case 'classification':
      return new Map([
        ['label', tensor('INT32', [1], [1])],
        ['probabilities', tensor('FP64', [1, 3], [0.1, 0.7, 0.2])],
      ]);
    case 'regression':
      return new Map([['value', tensor('FP64', [1], [152.5])]]);
    case 'tensor': {
      const given = [...tensors.values()];
      return new Map(
        version.signature.outputs.map(({ name }, index) => [name, given[index % given.length] as Tensor]),
      );
    }
  }
}
