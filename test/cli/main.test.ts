import { expect } from 'chai';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { runCli } from './support/cli.ts';
import { sendError } from './support/contract-server.ts';
import { useRig } from './support/rig.ts';

const submitWine = 'POST /api/v1/models/wine/batch';

describe('the exit code of millrace', () => {
  const rig = useRig();
  beforeEach(() => writeFile(join(rig.folder, 'rows.ndjson'), '[1,2]\n[3,4]\n'));

  const usage: readonly [string, RegExp][] = [
    ['batch frob', /There is no command "batch frob"/],
    ['frob', /There is no command "frob"/],
    ['batch submit', /needs FILE/],
    ['batch submit a b -m x', /takes one operand, found 2/],
    ['batch submit absent.ndjson', /absent\.ndjson cannot be read \(ENOENT\)/],
    ['batch submit . -m x', /is a folder/],
    ['batch submit rows.ndjson --modle x', /Unknown option '--modle'/],
    ['batch submit rows.ndjson --top-k none', /--top-k must be an integer from 1 to 1000/],
    ['batch submit rows.ndjson --format xml', /--format must be ndjson, csv, json/],
    ['batch submit rows.ndjson --version v1', /--version needs --model/],
    ['batch submit rows.ndjson -o nowhere/out', /nowhere\/out cannot be written/],
    ['batch status ../x', /A batch has an id/],
    ['batch list --url ftp://x', /--url must be a server/],
    ['batch results batch_1 --follow --format json', /--follow goes with ndjson and csv/],
    ['predict {x', /INPUTS must be JSON/],
  ];
  for (const [line, message] of usage)
    it(`is 2 for ${line}`, async () => {
      const { code, stdout, stderr } = await rig.run(line);
      expect({ code, stdout }).to.deep.equal({ code: 2, stdout: '' });
      expect(stderr)
        .to.match(message)
        .and.to.match(/ --help {2}says more\n$/);
      expect(rig.server.seen).to.deep.equal([]);
    });

  it('is 3 for a refusal, with each place and the request id', async () => {
    const details = [{ path: 'query.top_k', expected: 'an integer', found: '"x"' }];
    rig.server.answer(
      submitWine,
      sendError(400, 'invalid_input', 'The query string is not valid', { details }),
    );
    const { code, stderr } = await rig.run('batch submit rows.ndjson -m wine');
    expect(code).to.equal(3);
    expect(stderr).to.equal(
      '400 invalid_input: The query string is not valid\n' +
        '    query.top_k: expected an integer, found "x"\n    request id req_test\n',
    );
  });

  it('is 3 for a key that is missing, and says where one is given', async () => {
    rig.server.answer('GET /api/v1/batch', sendError(401, 'unauthorized', 'Authentication required'));
    const { code, stderr } = await runCli(['batch', 'list', '--url', rig.server.url]);
    expect(code).to.equal(3);
    expect(stderr).to.include('MILLRACE_API_KEY');
  });

  it('is 4 for a server that is not there', async () => {
    const { code, stderr } = await runCli(['batch', 'list', '--url', 'http://127.0.0.1:1', '--retries', '1']);
    expect(code).to.equal(4);
    expect(stderr).to.match(
      /cannot be reached \(connect ECONNREFUSED.*; trying again.*\n.*cannot be reached.*\n$/,
    );
  });

  it('is 4 for a 5xx, and for something that is not Millrace', async () => {
    rig.server.answer(
      'GET /api/v1/batch',
      sendError(500, 'internal_error', 'Unexpected error'),
      (_, response) => response.end('<html>'),
    );
    expect((await rig.run('batch list')).code).to.equal(4);
    const { code, stderr } = await rig.run('batch list');
    expect(code).to.equal(4);
    expect(stderr).to.include('is it the right --url?');
  });

  it('asks for no more patience than a minute', async () => {
    rig.server.answer(
      'GET /api/v1/batch',
      sendError(429, 'rate_limit_exceeded', 'Slow down', { headers: { 'retry-after': '3600' } }),
    );
    expect((await rig.run('batch list')).code).to.equal(3);
  });
});
