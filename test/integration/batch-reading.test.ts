import { expect } from 'chai';
import { parse } from 'csv-parse/sync';
import type { BatchObject } from '../../src/api/batch/batch-view.ts';
import { EventReader } from '../api/support/event-reader.ts';
import { startStack } from '../support/stack.ts';
import type { Stack } from '../support/stack.ts';

interface Row {
  readonly row: number;
  readonly id: string | null;
  readonly output?: string;
  readonly score?: number;
  readonly line?: number;
  readonly error?: { readonly code: string };
}

const rowCount = 20_000;
/** Rows that are no instances. */
const badRows = [0, 7777, rowCount - 1];

function instance(row: number): number[] {
  return [
    11 + (row % 40) / 10,
    (row % 50) / 10,
    1 + (row % 110) / 10,
    0.5 + (row % 12) / 10,
    300 + (row % 1300),
  ];
}

function lineOf(row: number): string {
  return badRows.includes(row)
    ? '[1,"x",3,4,5]'
    : JSON.stringify({ id: `mine-${row}`, inputs: instance(row) });
}

describe('a batch that is read while it arrives', function () {
  this.timeout(60_000);
  let stack: Stack;
  let id: string;
  let followed: Promise<string>;
  let events: EventReader;
  let begun: string;

  const call = (path: string, headers: Record<string, string> = {}, method = 'GET'): Promise<Response> =>
    fetch(`${stack.url}${path}`, { method, headers: { 'x-api-key': stack.key, ...headers } });
  const batchOf = async (path: string, method = 'GET'): Promise<BatchObject> =>
    (await (await call(path, {}, method)).json()) as BatchObject;

  /** There is a batch before its upload has come to its end. */
  const follow = async (): Promise<void> => {
    let batch: BatchObject | undefined;
    while (batch === undefined) {
      // oxlint-disable-next-line no-await-in-loop
      const page = (await (await call('/api/v1/batch')).json()) as {
        readonly batches: readonly BatchObject[];
      };
      batch = page.batches[0];
    }
    begun = batch.id;
    const ndjson = { accept: 'application/x-ndjson' };
    followed = call(`${batch.links.results}?follow=true`, ndjson).then((response) => response.text());
    events = new EventReader(await call(batch.links.events));
    await events.next();
  };
  before(async () => {
    stack = await startStack();
    const body = new ReadableStream<Uint8Array>({
      async start(controller) {
        const encoder = new TextEncoder();
        for (let from = 0; from < rowCount; from += 1000) {
          const lines = Array.from({ length: 1000 }, (_, row) => `${lineOf(from + row)}\n`);
          controller.enqueue(encoder.encode(lines.join('')));
          if (from === 5000) await follow();
        }
        controller.close();
      },
    });
    const response = await fetch(`${stack.url}/api/v1/batch?model=wine`, {
      method: 'POST',
      headers: { 'x-api-key': stack.key, 'content-type': 'application/x-ndjson' },
      body,
      duplex: 'half',
    } as RequestInit);
    expect(response.status, await response.clone().text()).to.equal(202);
    id = ((await response.json()) as BatchObject).id;
    expect(id).to.equal(begun);
  });
  after(() => stack?.stop());

  it('gives every row once, in order, to who follows it from the beginning', async () => {
    const rows = (await followed)
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as Row);
    expect(rows.map(({ row }) => row)).to.deep.equal(Array.from({ length: rowCount }, (_, row) => row));
    const wrong = rows.filter(({ row, error }) => badRows.includes(row) !== (error !== undefined));
    expect(wrong).to.deep.equal([]);
    expect(badRows.map((row) => rows[row]?.line)).to.deep.equal(badRows.map((row) => row + 1));
    for (const row of [1, 4999, 12_345]) {
      expect(rows[row]?.id).to.equal(`mine-${row}`);
      const answer = (await (await stack.predict({ inputs: instance(row) })).json()) as {
        readonly predictions: readonly [{ readonly output: string; readonly score: number }];
      };
      const { output, score } = answer.predictions[0];
      expect(rows[row]?.output).to.equal(output);
      // Runs of other sizes may sum in another order.
      expect(rows[row]?.score).to.be.closeTo(score, 1e-5);
    }
  });

  it('tells of its progress and of its end', async () => {
    const all = await events.toEnd();
    expect(all.at(-1)?.event).to.equal('completed');
    const seen = all.map(({ data }) => JSON.parse(data) as BatchObject);
    const shares = seen.map(({ progress }) => progress);
    expect(shares).to.deep.equal(shares.toSorted((a, b) => a - b));
    expect(seen.at(-1)?.counts).to.deep.equal({
      total: rowCount,
      succeeded: rowCount - badRows.length,
      failed: badRows.length,
    });
    expect(await batchOf(`/api/v1/batch/${id}`)).to.deep.equal(seen.at(-1));
  });

  it('reads alike as CSV and in pages', async () => {
    const csv = parse(await (await call(`/api/v1/batch/${id}/results`, { accept: 'text/csv' })).text(), {
      columns: true,
    }) as readonly Record<string, string>[];
    const pages: Row[] = [];
    for (let cursor: string | null = '0'; cursor !== null; ) {
      const response = await call(`/api/v1/batch/${id}/results?limit=7000&cursor=${cursor}`);
      const page = (await response.json()) as { predictions: Row[]; next_cursor: string | null };
      pages.push(...page.predictions);
      cursor = page.next_cursor;
    }
    expect(pages).to.have.length(rowCount);
    const asCsv = pages.map(({ row, id: own, output = '', score = '', error, line = '' }) =>
      [row, own ?? '', output, score, error?.code ?? '', line].map(String),
    );
    expect(
      csv.map((row) => ['row', 'id', 'output', 'score', 'error_code', 'line'].map((name) => row[name])),
    ).to.deep.equal(asCsv);
  });

  it('has nothing to run again, since what was refused would be refused again', async () => {
    expect((await call(`/api/v1/batch/${id}/retry`, {}, 'POST')).status).to.equal(409);
  });
});

describe('a process that stops while a batch is watched', function () {
  this.timeout(60_000);

  it('cuts its streams at once and ends, so that watchers go elsewhere', async () => {
    const stack = await startStack({ workers: 0 });
    try {
      const headers = { 'x-api-key': stack.key, 'content-type': 'application/x-ndjson' };
      const body = `${JSON.stringify(instance(1))}\n`;
      const response = await fetch(`${stack.url}/api/v1/batch?model=wine`, { method: 'POST', headers, body });
      const { links } = (await response.json()) as BatchObject;
      const events = new EventReader(await fetch(`${stack.url}${links.events}`, { headers }));
      expect((await events.next())?.event).to.equal('progress');
      const accept = 'text/csv';
      const results = await fetch(`${stack.url}${links.results}?follow=true`, {
        headers: { ...headers, accept },
      });
      const outcomes = [results.text(), events.toEnd()].map((reading) =>
        reading.then(
          () => 'whole',
          () => 'cut',
        ),
      );
      stack.apis[0]?.signal('SIGTERM');
      expect(await Promise.all(outcomes)).to.deep.equal(['cut', 'cut']);
    } finally {
      await stack.stop();
    }
  });
});
