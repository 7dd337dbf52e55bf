import { expect } from 'chai';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { UsageError } from '../../src/cli/failures.ts';
import { findTarget } from '../../src/cli/target.ts';
import type { TargetVariables } from '../../src/cli/target.ts';
import { devKeyFile, runFilePath } from '../../src/run-file.ts';

describe('findTarget', () => {
  let home: string;

  beforeEach(async () => {
    home = await mkdtemp(join(tmpdir(), 'millrace-target-'));
    await writeFile(devKeyFile(home), 'mlr_dev_key\n');
    const run = { pid: process.pid, startedAtMs: 0, redisUrl: 'redis://x', apiUrl: 'http://127.0.0.1:8123' };
    await writeFile(runFilePath(home), JSON.stringify(run));
  });
  afterEach(() => rm(home, { recursive: true }));

  function find(options: { url?: string; key?: string } = {}, variables: TargetVariables = {}) {
    const { baseUrl, apiKey } = findTarget(
      { url: options.url, key: options.key },
      { MILLRACE_HOME: home, ...variables },
    );
    return [baseUrl.origin, apiKey];
  }

  it('finds what npm start runs in this folder', () => {
    expect(find()).to.deep.equal(['http://127.0.0.1:8123', 'mlr_dev_key']);
  });

  it('takes options before variables, and variables before what runs here', () => {
    const variables = { MILLRACE_URL: 'https://a.example', MILLRACE_API_KEY: 'mlr_a' };
    expect(find({}, variables)).to.deep.equal(['https://a.example', 'mlr_a']);
    expect(find({ url: 'https://b.example', key: 'mlr_b' }, variables)).to.deep.equal([
      'https://b.example',
      'mlr_b',
    ]);
  });

  it('sends the development key to this machine only', () => {
    expect(find({ url: 'https://elsewhere.example' })).to.deep.equal(['https://elsewhere.example', null]);
    expect(find({ url: 'http://127.0.0.1.example' })).to.deep.equal(['http://127.0.0.1.example', null]);
    for (const url of ['http://localhost:8081', 'http://[::1]:8081', 'http://127.0.0.2:8081'])
      expect(find({ url })).to.deep.equal([url, 'mlr_dev_key']);
  });

  it('has a default where nothing runs', () => {
    expect(find({}, { MILLRACE_HOME: '/nonexistent' })).to.deep.equal(['http://127.0.0.1:8080', null]);
  });

  it('refuses what is no address and what is no key', () => {
    for (const url of ['localhost:8080', 'http://localhost:8080/api/v1', 'file:///x', ''])
      expect(() => find({ url }), url).to.throw(UsageError, '--url must be a server without a path');
    expect(() => find({ key: 'mlr “quoted”' })).to.throw(UsageError, 'copied whole');
  });
});
