import { expect } from 'chai';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import {
  batchObject,
  completed,
  sendError,
  sendEvents,
  sendJson,
  eventsUntil,
} from '../support/contract-server.ts';
import { useRig } from '../support/rig.ts';

const submitWine = 'POST /api/v1/models/wine/batch';
const { id } = completed;

describe('millrace batch submit', () => {
  const rig = useRig();
  beforeEach(() => writeFile(join(rig.folder, 'rows.ndjson'), '[1,2]\n[3,4]\n'));

  it('streams a file and prints the id alone', async () => {
    rig.server.answer(submitWine, sendJson(202, batchObject({ status: 'queued' })));
    const { code, stdout } = await rig.run(
      'batch submit rows.ndjson --model wine --return-probability --top-k 2',
    );
    expect({ code, stdout }).to.deep.equal({ code: 0, stdout: `${id}\n` });
    const [seen] = rig.server.of(submitWine);
    expect(await seen?.body).to.equal('[1,2]\n[3,4]\n');
    expect(seen?.headers).to.include({
      'content-type': 'application/x-ndjson',
      'content-length': '12',
      prefer: 'respond-async',
      'x-api-key': 'mlr_test_key',
    });
    expect(seen?.headers['idempotency-key']).to.match(/^cli-[0-9a-f-]{36}$/);
    expect([...(seen?.query ?? [])]).to.deep.equal([
      ['return_probability', 'true'],
      ['top_k', '2'],
    ]);
  });

  it('takes stdin, versions and the key that it is given', async () => {
    const call = 'POST /api/v1/models/wine/versions/stable/batch';
    rig.server.answer(call, sendJson(202, batchObject()));
    const line = 'batch submit - -m wine --version stable --format csv --idempotency-key mine --outputs a,b';
    expect((await rig.run(line, 'x,y\n1,2\n')).code).to.equal(0);
    const [seen] = rig.server.of(call);
    expect(await seen?.body).to.equal('x,y\n1,2\n');
    expect(seen?.headers).to.include({ 'content-type': 'text/csv', 'idempotency-key': 'mine' });
    expect(seen?.headers).not.to.have.property('content-length');
    expect(seen?.query.get('outputs')).to.equal('a,b');
  });

  it('puts a JSON array where the API wants it, and sends a whole request as it is', async () => {
    rig.server.answer('POST /api/v1/batch', sendJson(202, batchObject()));
    await rig.run('batch submit - --format json --top-k 3 --webhook https://example.com/', ' \n[[1],[2]]');
    await rig.run('batch submit - --format json', ' []');
    await rig.run('batch submit - --format json', '{"inputs":[[1]]}');
    const bodies = await Promise.all(rig.server.of('POST /api/v1/batch').map(({ body }) => body));
    expect(bodies.map((body) => JSON.parse(body) as unknown)).to.deep.equal([
      { inputs: [[1], [2]], parameters: { top_k: 3 }, webhook: 'https://example.com/' },
      { inputs: [] },
      { inputs: [[1]] },
    ]);
    const { code, stderr } = await rig.run('batch submit - --format json --top-k 3', '{"inputs":[[1]]}');
    expect(code).to.equal(2);
    expect(stderr).to.include('parameters must be in it');
  });

  it('sends a file that is compressed as it is', async () => {
    rig.server.answer('POST /api/v1/batch', sendJson(202, batchObject()));
    await writeFile(join(rig.folder, 'rows.csv.gz'), 'not looked into');
    expect((await rig.run('batch submit rows.csv.gz')).code).to.equal(0);
    const [seen] = rig.server.of('POST /api/v1/batch');
    expect(seen?.headers).to.include({ 'content-type': 'text/csv', 'content-encoding': 'gzip' });
    expect(await seen?.body).to.equal('not looked into');
  });

  it('waits for the answer to its first attempt where that is still at work', async () => {
    const atWork = sendError(409, 'conflict', 'Still at work', { headers: { 'retry-after': '0' } });
    rig.server.answer(submitWine, atWork, sendJson(202, batchObject()));
    expect((await rig.run('batch submit rows.ndjson -m wine')).code).to.equal(0);
    const other = sendError(409, 'conflict', 'Another body');
    rig.server.answer('POST /api/v1/batch', other, sendJson(202, batchObject()));
    expect((await rig.run('batch submit rows.ndjson')).code).to.equal(3);
  });

  it('shows progress line by line in a pipe, and how it ended', async () => {
    rig.server.answer(submitWine, sendJson(202, batchObject({ status: 'queued' })));
    const half = batchObject({ counts: { total: 1000, succeeded: 500, failed: 0 }, progress: 0.5 });
    const { answerer, end } = eventsUntil(half, completed);
    rig.server.answer(`GET /api/v1/batch/${id}/events`, answerer);
    const cli = rig.start('batch submit rows.ndjson --model wine --watch');
    await cli.wrote('stderr', /50 %/);
    end();
    const { code, stdout, stderr } = await cli.ended;
    expect({ code, stdout }).to.deep.equal({ code: 0, stdout: `${id}\n` });
    expect(stderr).to.include(`${id}  50 %  500 of 1,000 rows`);
    expect(stderr).to.include(`${id} completed · wine v1.0.0 · 1,000 rows · 2.5 s\n`);
    expect(stderr).not.to.match(/\r|█/);
  });

  it('is exit code 1 when rows failed, with what to do about it', async () => {
    rig.server.answer(submitWine, sendJson(202, batchObject()));
    const ended = { ...completed, counts: { total: 1000, succeeded: 997, failed: 3 } };
    rig.server.answer(`GET /api/v1/batch/${id}/events`, sendEvents([ended]));
    const { code, stdout, stderr } = await rig.run('batch submit rows.ndjson -m wine --watch --json');
    expect(code).to.equal(1);
    expect(JSON.parse(stdout)).to.deep.equal(ended);
    expect(stderr).to.include('3 failed').and.to.include(`millrace batch retry ${id}`);
  });

  it('is a filter with --output -', async () => {
    rig.server.answer(submitWine, sendJson(202, batchObject()));
    rig.server.answer(`GET /api/v1/batch/${id}/events`, sendEvents([completed]));
    rig.server.answer(`GET /api/v1/batch/${id}/results`, (_, response) =>
      response.end('{"row":0,"output":"a"}\n'),
    );
    const { code, stdout } = await rig.run('batch submit - -m wine -o -', '[1]\n');
    expect({ code, stdout }).to.deep.equal({ code: 0, stdout: '{"row":0,"output":"a"}\n' });
  });

  it('tries again with the same key, after the time that the server asks for', async () => {
    rig.server.answer(
      submitWine,
      sendError(503, 'service_unavailable', 'Busy', { headers: { 'retry-after': '1' } }),
      (_, response) => response.destroy(),
      sendJson(202, batchObject()),
    );
    const { code, stderr } = await rig.run('batch submit rows.ndjson -m wine');
    expect(code).to.equal(0);
    expect(stderr).to.match(/503 service_unavailable: Busy; trying again in 1\.\d s/);
    const keys = rig.server.of(submitWine).map(({ headers }) => headers['idempotency-key']);
    expect(keys).to.have.lengthOf(3);
    expect(new Set(keys)).to.have.lengthOf(1);
    expect(await rig.server.of(submitWine).at(-1)?.body).to.equal('[1,2]\n[3,4]\n');
  });

  it('sends nothing of stdin to a server that refuses, so that another attempt has it all', async () => {
    rig.server.continues = false;
    rig.server.answer(submitWine, sendError(503, 'service_unavailable', 'Busy'), (request, response) => {
      response.writeContinue();
      return sendJson(202, batchObject())(request, response, undefined as never);
    });
    expect((await rig.run('batch submit - -m wine', '[1]\n[2]\n')).code).to.equal(0);
    expect(await rig.server.of(submitWine).at(-1)?.body).to.equal('[1]\n[2]\n');
  });

  it('does not write over the rows, nor over results before there are others', async () => {
    const rows = join(rig.folder, 'rows.ndjson');
    const before = await readFile(rows, 'utf8');
    expect((await rig.run('batch submit rows.ndjson -m wine -o ./rows.ndjson')).code).to.equal(2);
    expect((await rig.run('batch submit absent.ndjson -m wine -o rows.ndjson')).code).to.equal(2);
    rig.server.answer(submitWine, sendError(400, 'invalid_input', 'No'));
    await writeFile(join(rig.folder, 'more.ndjson'), '[1]');
    expect((await rig.run('batch submit more.ndjson -m wine -o rows.ndjson')).code).to.equal(3);
    expect(await readFile(rows, 'utf8')).to.equal(before);
  });

  it('says that rows cannot be read to their end, and does not try again', async () => {
    rig.server.answer(submitWine, sendJson(202, batchObject()));
    const cli = rig.start('batch submit /proc/self/mem -m wine');
    expect(await cli.ended).to.deep.include({ code: 1, stdout: '' });
    expect(cli.stderr).to.match(/The rows could not be read to their end \(EIO/);
    expect(rig.server.of(submitWine)).to.have.lengthOf(1);
  });

  it('stops an upload that is refused on its way, also while stdin is silent', async () => {
    rig.server.answer(submitWine, (_, response, raw) => {
      raw.once('data', () => sendError(409, 'conflict', 'The batch was cancelled')(_, response, raw));
    });
    const cli = rig.start('batch submit - -m wine');
    cli.child.stdin.write('[1]\n');
    const { code, stderr } = await cli.ended;
    expect(code).to.equal(3);
    expect(stderr).to.include('409 conflict: The batch was cancelled');
  });
});
