import { readFileSync } from 'node:fs';
import { Agent, get } from 'node:http';
import type { IncomingMessage } from 'node:http';
import { createInterface } from 'node:readline';
import { expect } from 'chai';
import { BatchClient } from './support/batch-client.ts';
import type { KnownRows } from './support/known-rows.ts';
import { linesOf } from './support/known-rows.ts';
import { useHarmable } from './support/promise-stack.ts';
import { lasting, sized } from './support/schedule.ts';

/** 30 MB of results for each reader, 150 in the long version: 480 MB (2.4 GB), of which sockets take some 100 MB. */
const rows = sized(100_000, 500_000);
const readerCount = 16;
const idChars = 250;
/** Measured: 120 MB, two chunks for each reader and what is not collected yet. */
const growthBytesMax = 250 * 1024 * 1024;
const giveUpMs = 300_000;

/** Results as long as their ids. */
const longRows: KnownRows = {
  model: 'nonce',
  line: (batch, row) => `{"id":"${idOf(batch, row)}","inputs":[${row}]}\n`,
  result: (batch, row) => JSON.stringify({ row, id: idOf(batch, row), output: [3 * row + 1] }),
};

function idOf(batch: number, row: number): string {
  return `${batch}/${row}`.padEnd(idChars, '.');
}

describe(`${readerCount} readers who do not take the results of a large batch`, () => {
  const harmable = useHarmable({ env: { MILLRACE_BATCH_CHUNK_ROWS_MAX: '500' } });

  it('are waited for without holding its results, and get each row once they read on', async function () {
    this.timeout(giveUpMs);
    const { stack } = harmable();
    const client = new BatchClient(stack, giveUpMs);
    const { id } = await client.submit({ model: longRows.model, lines: linesOf(longRows, 1, rows) });
    expect((await client.ended(id)).status).to.equal('completed');
    const { pid } = stack.apis[0]!;
    const before = rssOf(pid);
    const agent = new Agent({ keepAlive: false });
    const readers = await Promise.all(
      Array.from({ length: readerCount }, () =>
        openResults(`${stack.url}/api/v1/batch/${id}/results`, agent),
      ),
    );
    // Until nothing comes into the sockets any more: what the process would hold, it holds by then.
    await lasting(2000);
    const growth = rssOf(pid) - before;
    process.stderr.write(`        RSS of the API grew by ${Math.round(growth / 1024 / 1024)} MB\n`);
    expect(growth).to.be.below(growthBytesMax);
    const [reader, ...leaving] = readers;
    for (const each of leaving) each.destroy();
    let row = 0;
    const wrong: string[] = [];
    for await (const line of createInterface({ input: reader! })) {
      if (line !== longRows.result(1, row)) wrong.push(line);
      row += 1;
    }
    expect(wrong).to.deep.equal([]);
    expect(row).to.equal(rows);
    agent.destroy();
  });

  /** Paused before its first byte. */
  function openResults(url: string, agent: Agent): Promise<IncomingMessage> {
    const headers = { accept: 'application/x-ndjson', 'x-api-key': harmable().stack.key };
    return new Promise((resolve, reject) => {
      get(url, { agent, headers }, (response) => {
        response.on('error', () => undefined);
        resolve(response);
      }).on('error', reject);
    });
  }
});

/** From /proc: Linux only. */
function rssOf(pid: number): number {
  return Number(/VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) * 1024;
}
