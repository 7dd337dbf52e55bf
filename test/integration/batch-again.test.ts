import { expect } from 'chai';
import type { BatchObject } from '../../src/api/batch/batch-view.ts';
import type { DeadLetterObject } from '../../src/api/batch/dead-letter-view.ts';
import { EventReader } from '../api/support/event-reader.ts';
import { useStack } from '../support/stack.ts';
import { fixtureModels } from './fixture-models.ts';

interface Row {
  readonly row: number;
  readonly id: string | null;
  readonly output?: number;
  readonly line?: number;
  readonly error?: { readonly code: string; readonly message: string };
}

/** Indices that the model cannot gather, by their line. */
const badLines = new Map([
  [3, 10_007],
  [9, 20_009],
]);

describe('rows of a batch that fail in the run', function () {
  this.timeout(60_000);
  const stack = useStack({ models: fixtureModels('gather-strict') });

  const call = (method: string, path: string, init: RequestInit = {}): Promise<Response> =>
    fetch(`${stack().url}${path}`, {
      ...init,
      method,
      headers: { 'x-api-key': stack().key, ...(init.headers as Record<string, string>) },
    });
  const objectOf = async (response: Response): Promise<BatchObject> => {
    expect(response.status).to.equal(202);
    return (await response.json()) as BatchObject;
  };
  const ended = async ({ links }: BatchObject): Promise<BatchObject> => {
    const events = await new EventReader(await call('GET', links.events)).toEnd();
    return JSON.parse(events.at(-1)?.data ?? '') as BatchObject;
  };
  const rowsOf = async ({ links }: BatchObject): Promise<readonly Row[]> => {
    const page = (await (await call('GET', links.results)).json()) as {
      readonly predictions: readonly Row[];
    };
    return page.predictions;
  };
  const letters = async (): Promise<readonly DeadLetterObject[]> => {
    const page = (await (await call('GET', '/api/v1/dead-letters')).json()) as {
      readonly dead_letters: readonly DeadLetterObject[];
    };
    return page.dead_letters;
  };

  let first: BatchObject;
  before(async () => {
    const lines = Array.from({ length: 12 }, (_, i) => {
      const index = badLines.get(i + 1);
      return index === undefined ? String(i % 10) : JSON.stringify({ id: `bad-${index}`, inputs: index });
    });
    const headers = { 'content-type': 'application/x-ndjson' };
    const path = '/api/v1/models/gather-strict/batch';
    first = await ended(await objectOf(await call('POST', path, { headers, body: lines.join('\n') })));
  });

  it('are told apart from those beside them, by id and line', async () => {
    expect(first.status).to.equal('completed');
    expect(first.counts).to.deep.equal({ total: 12, succeeded: 10, failed: 2 });
    const rows = await rowsOf(first);
    const failed = rows.filter(({ error }) => error !== undefined);
    expect(failed.map(({ id, line }) => [id, line])).to.deep.equal([
      ['bad-10007', 3],
      ['bad-20009', 9],
    ]);
    for (const { row, output } of rows.filter(({ error }) => error === undefined))
      expect(output).to.equal(100 + (row % 10));
  });

  it('run again as a batch of their own, and keep their names', async () => {
    const again = await ended(await objectOf(await call('POST', `${first.links.self}/retry`)));
    expect(again).to.deep.include({ status: 'completed', retry_of: first.id });
    expect(again.counts).to.deep.equal({ total: 2, succeeded: 0, failed: 2 });
    expect((await rowsOf(again)).map(({ row, id, line }) => [row, id, line])).to.deep.equal([
      [0, 'bad-10007', 3],
      [1, 'bad-20009', 9],
    ]);
  });

  it('are kept as dead letters, which can be replayed', async () => {
    const kept = (await letters()).filter(({ batch_id: batchId }) => batchId === first.id);
    expect(kept.map(({ row, row_id: id, line }) => [row, id, line])).to.have.deep.members([
      [2, 'bad-10007', 3],
      [8, 'bad-20009', 9],
    ]);
    const response = await call('POST', `/api/v1/dead-letters/replay?batch=${first.id}`);
    expect(response.status).to.equal(202);
    const { batches } = (await response.json()) as { readonly batches: readonly [BatchObject] };
    const replayed = await ended(batches[0]);
    expect(replayed).to.deep.include({ retry_of: first.id });
    expect(replayed.counts).to.deep.equal({ total: 2, succeeded: 0, failed: 2 });
    expect((await letters()).some(({ batch_id: batchId }) => batchId === first.id)).to.equal(false);
  });
});
