import { once } from 'node:events';
import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { expect } from 'chai';
import { until } from '../../../src/dev/readiness.ts';
import { chunksOf, useBatchRig } from '../batch/support/batch-rig.ts';

const rowCount = 400_000;
/** Text of the whole batch, some 60 bytes a row: far beyond what sockets hold. */
const textBytes = rowCount * 60;
const readerCount = 20;
/** Looks in a row that show the same before something is taken to stand still. */
const sameLookCount = 8;

function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

function standing(look: () => number): () => Promise<boolean> {
  let last = -1;
  let same = 0;
  return async () => {
    const now = look();
    same = now === last ? same + 1 : 0;
    last = now;
    return same >= sameLookCount;
  };
}

describe('streams of results', function () {
  this.timeout(60_000);
  const rig = useBatchRig({ redisBytesMax: 0 });
  let id = '';

  before(async () => {
    id = await rig().submit(chunksOf(rowCount, 20_000));
  });

  const open = async (path = `/api/v1/batch/${id}/results`): Promise<Socket> => {
    const socket = connect(rig().api.port, '127.0.0.1');
    await once(socket, 'connect');
    socket.write(
      `GET ${path} HTTP/1.1\r\nHost: a\r\nAccept: application/x-ndjson\r\nX-API-Key: ${rig().key}\r\n\r\n`,
    );
    return socket;
  };
  const quiet = (): Promise<void> =>
    until(async () => rig().streams.results() === 0, AbortSignal.timeout(20_000));

  it('wait for readers that take nothing, and hold a few pieces meanwhile', async () => {
    const sockets = await Promise.all(Array.from({ length: readerCount }, () => open()));
    for (const socket of sockets) await once(socket, 'readable');
    const before = process.memoryUsage().rss;
    await until(
      standing(() => rig().readCount()),
      AbortSignal.timeout(20_000),
    );
    // Two chunks each and what went into sockets, of the 20 chunks that there are.
    expect(rig().readCount()).to.be.at.most(readerCount * 5);
    // 24 MB for each reader, were it not for the waiting.
    expect(process.memoryUsage().rss - before).to.be.lessThan((readerCount * textBytes) / 2);
    for (const socket of sockets) socket.destroy();
    await quiet();
  });

  it('go on where a slow reader left off, and lose nothing', async () => {
    const socket = await open(`/api/v1/batch/${id}/results?limit=100000`);
    let text = '';
    for await (const chunk of socket) {
      text += (chunk as Buffer).toString('latin1');
      if (text.endsWith('0\r\n\r\n')) break;
      for (let turn = 0; turn < 20; turn++) await nextTurn();
    }
    const rows = [...text.matchAll(/"row":(\d+)/g)].map(([, row]) => Number(row));
    expect(rows).to.deep.equal(Array.from({ length: 100_000 }, (_, row) => row));
    await quiet();
  });

  it('let go of everything when readers leave in the middle', async () => {
    for (let i = 0; i < 30; i++) {
      const socket = await open();
      await once(socket, 'data');
      socket.destroy();
    }
    await quiet();
    expect(rig().watched()).to.equal(0);
  });

  it('are cut when a chunk cannot be read, so that nobody takes a part for the whole', async () => {
    const lost = await rig().submit(chunksOf(40_000, 20_000));
    const [, second] = await rig().ledger.chunks(lost, 0, 2);
    if (second?.result?.kind === 'artifact') await rig().store.remove(second.result.digest);
    const response = await rig().get(`/api/v1/batch/${lost}/results`, { accept: 'application/x-ndjson' });
    expect(response.status).to.equal(200);
    const outcome = await response.text().then(
      () => 'whole',
      () => 'cut',
    );
    expect(outcome).to.equal('cut');
    const refused = await rig().get(`/api/v1/batch/${lost}/results?from=20000`);
    expect(refused.status).to.equal(502);
    await quiet();
  });
});
