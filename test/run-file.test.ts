import { expect } from 'chai';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseRunFile, readRunFile, redisUrlFromRunFile, runFilePath } from '../src/run-file.ts';

describe('run file', () => {
  let home: string;
  const run = {
    pid: process.pid,
    startedAtMs: 1,
    redisUrl: 'redis://:secret@127.0.0.1:1',
    embeddedRedis: true,
    apiUrl: 'http://127.0.0.1:2',
  };

  beforeEach(async () => {
    home = await mkdtemp(join(tmpdir(), 'millrace run '));
  });
  afterEach(() => rm(home, { recursive: true, force: true }));

  it('tells where the Redis of a launcher that lives is', async () => {
    await writeFile(runFilePath(home), JSON.stringify(run));
    expect(readRunFile(home)).to.deep.equal(run);
    expect(redisUrlFromRunFile(home)).to.equal(run.redisUrl);
  });

  it('counts as absent when its launcher is gone, and can still be read', async () => {
    const gone = spawn('true');
    await once(gone, 'exit');
    await writeFile(runFilePath(home), JSON.stringify({ ...run, pid: gone.pid }));
    expect(redisUrlFromRunFile(home)).to.equal(undefined);
    expect(parseRunFile(home)).to.deep.include({ redisUrl: run.redisUrl });
  });

  it('counts as absent when it is missing, cut off or of another shape', async () => {
    expect(redisUrlFromRunFile(home)).to.equal(undefined);
    for (const text of ['', '{"pid": 1', 'null', '[]', JSON.stringify({ ...run, redisUrl: 1 })]) {
      await writeFile(runFilePath(home), text);
      expect(redisUrlFromRunFile(home), text).to.equal(undefined);
    }
  });
});
