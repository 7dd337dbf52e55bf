import { expect } from 'chai';
import { once } from 'node:events';
import { connect } from 'node:net';
import { gzipSync } from 'node:zlib';
import { until } from '../../../src/dev/readiness.ts';
import { MillraceError } from '../../../src/errors.ts';
import { errorOf, objectOf } from '../batch/support/answers.ts';
import { useBatchRig } from '../batch/support/batch-rig.ts';
import { readResponse, sendRaw } from '../support/raw-client.ts';

const json = 'application/json';
const ndjson = 'application/x-ndjson';
const row = (value: number): number[] => [value, 2, 3, 4, 5];

describe('limits of uploads', () => {
  const rig = useBatchRig({
    batch: {
      rows_max: 10,
      bytes_max: 2000,
      line_bytes_max: 100,
      json_held_bytes_max: 1024,
      chunk_rows_max: 4,
      upload_idle_ms: 300,
      upload_bytes_per_s_min: 2000,
      upload_lease_ms: 1000,
      open_max: 3,
    },
  });
  afterEach(async () => {
    expect(rig().admission.inFlight).to.equal(0);
    for (const { id } of (await rig().ledger.list(null, null, 100)).batches) await rig().ledger.cancel(id);
  });
  const newest = async () => (await rig().ledger.list(null, null, 1)).batches[0];
  const lines = (count: number): string => `${JSON.stringify(row(0))}\n`.repeat(count);

  /** Opens an upload, chunked, and lets the test write. */
  async function open(type = ndjson) {
    const socket = connect(rig().api.port, '127.0.0.1');
    await once(socket, 'connect');
    let text = '';
    socket.on('data', (bytes: Buffer) => (text += bytes.toString()));
    socket.on('error', () => undefined);
    socket.write(
      `POST /api/v1/batch HTTP/1.1\r\nHost: a\r\nX-API-Key: ${rig().key}\r\nContent-Type: ${type}\r\nTransfer-Encoding: chunked\r\n\r\n`,
    );
    return {
      socket,
      write: (body: string) => socket.write(`${Buffer.byteLength(body).toString(16)}\r\n${body}\r\n`),
      end: () => socket.write('0\r\n\r\n'),
      text: () => text,
      answer: async () => {
        if (!socket.closed) await once(socket, 'close');
        return text;
      },
    };
  }

  it('name the line that is too long, and fail what was taken of the batch', async () => {
    const body = `${lines(6)}"${'x'.repeat(200)}"\n`;
    const error = await errorOf(await rig().send('/api/v1/batch', ndjson, body), 413);
    expect(error.message).to.equal('Line 7 is too long');
    expect(await newest()).to.include({ status: 'failed', rowsReceived: 4 });
    expect((await newest())?.failure).to.include({
      code: 'payload_too_large',
      message: 'Line 7 is too long',
    });
  });

  it('bound rows and bytes, also those that are not announced or compressed', async () => {
    expect((await errorOf(await rig().send('/api/v1/batch', ndjson, lines(11)), 413)).message).to.match(
      /too many rows/,
    );
    expect((await newest())?.status).to.equal('failed');
    await objectOf(await rig().send('/api/v1/batch', ndjson, lines(10)));
    await errorOf(await rig().send('/api/v1/batch', ndjson, '\n'.repeat(2001)), 413);
    const packed = gzipSync('\n'.repeat(100_000));
    await errorOf(await rig().send('/api/v1/batch', ndjson, packed, { 'content-encoding': 'gzip' }), 413);
    const upload = await open();
    for (let i = 0; i < 100; i++) upload.write('\n'.repeat(100));
    expect(await upload.answer()).to.match(/^HTTP\/1\.1 413 .*Connection: close/s);
  });

  it('bound batches of a caller that have not ended', async () => {
    const submit = () => rig().send('/api/v1/batch', ndjson, lines(1));
    for (let i = 0; i < 3; i++) await objectOf(await submit());
    const refused = await submit();
    expect(refused.headers.get('retry-after')).to.match(/^\d+$/);
    expect((await errorOf(refused, 429)).code).to.equal('rate_limit_exceeded');
  });

  it('bound them also when they come at once, and leave nothing of the others', async () => {
    const listed = async (): Promise<number> => (await rig().ledger.list(null, null, 100)).batches.length;
    const before = await listed();
    const send = (_: unknown, index: number): Promise<Response> =>
      index % 2 === 0
        ? rig().send('/api/v1/batch', ndjson, lines(2))
        : rig().send('/api/v1/batch', json, JSON.stringify({ inputs: [row(0)] }));
    const responses = await Promise.all(Array.from({ length: 12 }, send));
    const statuses = responses.map(({ status }) => status).toSorted((a, b) => a - b);
    expect(statuses).to.deep.equal([...Array<number>(3).fill(202), ...Array<number>(9).fill(429)]);
    expect(await listed()).to.equal(before + 3);
  });

  it('work on what has come while an upload pauses', async () => {
    const upload = await open();
    upload.write(lines(2));
    await until(async () => (await newest())?.rowsReceived === 2, AbortSignal.timeout(5000));
    expect(rig().fed).to.include('default');
    upload.write(lines(1));
    upload.end();
    await until(async () => upload.text().includes('"total":3'), AbortSignal.timeout(5000));
    upload.socket.destroy();
  });

  it('end an upload that stops, with a reason in the answer and in the batch', async () => {
    const upload = await open();
    upload.write(`${lines(5)}[1,`);
    expect(await upload.answer()).to.match(/^HTTP\/1\.1 408 .*"request_timeout".*something within 300 ms/s);
    expect(await newest()).to.include({ status: 'failed', rowsReceived: 5 });
    expect((await newest())?.failure?.code).to.equal('request_timeout');
  });

  it('end an upload that drips', async () => {
    const upload = await open();
    const drip = setInterval(() => upload.write(' '), 20);
    expect(await upload.answer()).to.match(/^HTTP\/1\.1 408 .*2000 bytes a second/s);
    clearInterval(drip);
  });

  it('fail the batch of a client that leaves', async () => {
    const upload = await open();
    upload.write(lines(5));
    await until(async () => (await newest())?.status === 'queued', AbortSignal.timeout(5000));
    upload.socket.destroy();
    await until(async () => (await newest())?.status === 'failed', AbortSignal.timeout(5000));
    expect((await newest())?.failure?.message).to.equal('The body was cut short');
  });

  it('end the upload of a batch that was cancelled', async () => {
    const upload = await open();
    upload.write(lines(2));
    await until(async () => (await newest())?.rowsReceived === 2, AbortSignal.timeout(5000));
    const { id } = (await newest())!;
    await rig().ledger.cancel(id);
    upload.write(lines(2));
    expect(await upload.answer()).to.match(/^HTTP\/1\.1 409 /);
    expect(await rig().ledger.get(id)).to.include({ status: 'cancelled' });
  });

  it('hold a JSON body to put its parameters first once it is long', async () => {
    const inputs = Array.from({ length: 9 }, () => `[${' '.repeat(80)}1,2,3,4,5]`).join();
    const upload = await open(json);
    for (const piece of [`{"inputs":[${inputs}`, `,${inputs}`, '],"parameters":{"model":"wine"}}'])
      upload.write(piece);
    expect(await upload.answer()).to.match(
      /^HTTP\/1\.1 413 .*put parameters first, or name the model in the path/s,
    );
    const first = `{"parameters":{"model":"wine"},"inputs":[${inputs}]}`;
    expect((await objectOf(await rig().send('/api/v1/batch', json, first))).counts.total).to.equal(9);
  });
});

describe('an upload that takes longer than other requests may', () => {
  const rig = useBatchRig({ server: { headersTimeoutMs: 100, requestTimeoutMs: 100 } });

  it('goes on', async function () {
    this.timeout(10_000);
    const { port } = rig().api;
    const head = `Host: a\r\nX-API-Key: ${rig().api.key}\r\nTransfer-Encoding: chunked\r\n`;
    const upload = connect(port, '127.0.0.1');
    const answer = readResponse(upload);
    upload.write(`POST /api/v1/batch HTTP/1.1\r\n${head}Content-Type: ${ndjson}\r\n\r\n4\r\n[1,2\r\n`);
    const other = await sendRaw(
      port,
      `POST /api/v1/predict HTTP/1.1\r\n${head}Content-Type: ${json}\r\n\r\n1\r\n{\r\n`,
    );
    expect(other.status).to.equal(408);
    upload.write('7\r\n,3,4,5]\r\n0\r\n\r\n');
    expect((await answer).status).to.equal(202);
    upload.destroy();
  });

  it('is over with its answer, also when its body never ends', async function () {
    this.timeout(10_000);
    const socket = connect(rig().api.port, '127.0.0.1');
    const answer = readResponse(socket);
    const head = `Host: a\r\nX-API-Key: ${rig().api.key}\r\nContent-Type: text/csv\r\nContent-Length: 100\r\n`;
    socket.write(`POST /api/v1/batch HTTP/1.1\r\n${head}\r\nwrong,header\n1,2\n3,4\n`);
    expect((await answer).status).to.equal(400);
    if (!socket.closed) await once(socket, 'close');
  });
});

describe('uploads while Redis is away', () => {
  let failures = 0;
  const rig = useBatchRig({
    works: true,
    batch: { chunk_rows_max: 2 },
    ledger: (ledger) => ({
      ...ledger,
      addChunk: async (id, chunk) => {
        await ledger.addChunk(id, chunk);
        failures -= 1;
        // Done, but nobody heard of it.
        if (failures >= 0) throw new MillraceError('service_unavailable');
      },
    }),
  });

  it('are gone on with, no row twice', async () => {
    failures = 3;
    const body = Array.from({ length: 7 }, (_, index) => JSON.stringify(row(index))).join('\n');
    const { id } = await objectOf(await rig().send('/api/v1/batch', ndjson, body));
    await rig().idle();
    expect(await rig().ledger.get(id)).to.include({
      status: 'completed',
      rowsSucceeded: 7,
      chunksReceived: 4,
    });
  });
});

describe('a caller with more open uploads than there are permits', () => {
  const rig = useBatchRig();

  it('keeps out no other', async () => {
    const head = `POST /api/v1/batch HTTP/1.1\r\nHost: a\r\nX-API-Key: ${rig().key}\r\nContent-Type: ${ndjson}\r\nTransfer-Encoding: chunked\r\n\r\n`;
    const { admission } = rig();
    const sockets = Array.from({ length: admission.inFlightMax + 6 }, () => {
      const socket = connect(rig().api.port, '127.0.0.1');
      socket.on('error', () => undefined);
      socket.write(head);
      return socket;
    });
    await until(async () => admission.inFlight === admission.inFlightMax / 2, AbortSignal.timeout(5000));
    const key = await rig().api.keyWith(['batch']);
    await objectOf(await rig().send('/api/v1/batch', ndjson, '[1,2,3,4,5]', { 'x-api-key': key }));
    expect(admission.inFlight).to.equal(admission.inFlightMax / 2);
    for (const socket of sockets) socket.destroy();
    await until(async () => admission.inFlight === 0, AbortSignal.timeout(5000));
  });
});
