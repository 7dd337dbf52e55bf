import { expect } from 'chai';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { completed, sendJson } from '../support/contract-server.ts';
import { useRig } from '../support/rig.ts';

const { id } = completed;

describe('millrace batch results', () => {
  const rig = useRig();
  const results = `GET /api/v1/batch/${id}/results`;

  it('goes on at the row where a stream broke, and doubles none', async () => {
    rig.server.answer(
      results,
      (_, response) => {
        response.writeHead(200, { 'content-type': 'application/x-ndjson' });
        response.write('{"row":0}\n{"row":3}\n{"ro', () => response.destroy());
      },
      (_, response) => response.end('{"row":4}\n'),
    );
    const { code, stdout } = await rig.run(`batch results ${id} --follow`);
    expect({ code, stdout }).to.deep.equal({ code: 0, stdout: '{"row":0}\n{"row":3}\n{"row":4}\n' });
    expect(rig.server.of(results).map(({ query }) => query.toString())).to.deep.equal([
      'follow=true',
      'follow=true&from=4',
    ]);
  });

  it('writes a file in the format of its name', async () => {
    rig.server.answer(results, (_, response) => response.end('row,output\r\n0,a\r\n'));
    expect(await rig.run(`batch results ${id} -o out.csv`)).to.include({ code: 0, stdout: '', stderr: '' });
    expect(await readFile(join(rig.folder, 'out.csv'), 'utf8')).to.equal('row,output\r\n0,a\r\n');
    expect(rig.server.of(results)[0]?.headers.accept).to.equal('text/csv');
  });

  it('joins pages of JSON to one document', async () => {
    const page = (rows: readonly number[], next: string | null) =>
      sendJson(200, { status: 'running', predictions: rows.map((row) => ({ row })), next_cursor: next });
    rig.server.answer(results, page([0, 1], '2'), page([2], '3'), page([], '3'));
    const { code, stdout, stderr } = await rig.run(`batch results ${id} --format json`);
    expect(code).to.equal(0);
    expect(JSON.parse(stdout)).to.deep.equal({
      status: 'running',
      predictions: [{ row: 0 }, { row: 1 }, { row: 2 }],
    });
    expect(stderr).to.include('The batch goes on: these are the rows so far');
    expect(rig.server.of(results).map(({ query }) => query.get('cursor'))).to.deep.equal(['0', '2', '3']);
  });

  it('says that a file of another format is incomplete', async () => {
    rig.server.answer(results, (_, response) => response.write('row,output\r\n0,', () => response.destroy()));
    const { code, stderr } = await rig.run(`batch results ${id} --format csv`);
    expect(code).to.equal(4);
    expect(stderr).to.include('what was written is incomplete');
  });

  it('ends quietly when its reader has seen enough', async () => {
    rig.server.answer(results, (_, response) => {
      response.writeHead(200, { 'content-type': 'application/x-ndjson' });
      const more = () => void (response.destroyed || response.write('{"row":0}\n'.repeat(10_000), more));
      more();
    });
    const cli = rig.start(`batch results ${id}`);
    await cli.wrote('stdout', /row/);
    cli.child.stdout.destroy();
    expect(await cli.ended).to.deep.include({ code: 0, stderr: '' });
  });
});
