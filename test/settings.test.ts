import { expect } from 'chai';
import { cp, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { settingAt } from '../scripts/settings-page.ts';
import { MillraceError } from '../src/errors.ts';
import type { ErrorPlace } from '../src/errors.ts';
import { loadSettings, settingSchemas, variableName } from '../src/settings.ts';

function refused(env: NodeJS.ProcessEnv, folder?: string): MillraceError & { details: ErrorPlace[] } {
  try {
    loadSettings(env, folder);
  } catch (error) {
    if (MillraceError.is(error) && error.code === 'invalid_input')
      return error as MillraceError & { details: ErrorPlace[] };
    throw error;
  }
  throw new Error('the settings were accepted');
}

describe('settings', () => {
  let folder: string;

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'millrace-config-'));
    await cp(fileURLToPath(new URL('../config/', import.meta.url)), folder, { recursive: true });
  });

  afterEach(() => rm(folder, { recursive: true }));

  it('puts variables over the file of the environment, and that over the defaults', async () => {
    await writeFile(join(folder, 'production.yaml'), 'port: 81\nredis:\n  prefix: live\n');
    const env = { MILLRACE_ENVIRONMENT: 'production', MILLRACE_PORT: '82' };
    const { settings, sources } = loadSettings(env, folder);
    expect(settings).to.include({ environment: 'production', port: 82, host: '127.0.0.1' });
    expect(settings.redis).to.include({ prefix: 'live', command_timeout_ms: 1500 });
    expect(sources).to.include({ port: 'env', 'redis.prefix': 'file', host: 'default', environment: 'env' });
  });

  it('takes every setting from its variable', () => {
    const defaults = loadSettings({}).settings;
    const env = Object.fromEntries(
      [...settingSchemas.keys()].map((key) => [variableName(key), String(settingAt(defaults, key))]),
    );
    const { settings, sources } = loadSettings(env);
    expect(settings).to.deep.equal(defaults);
    expect(new Set(Object.values(sources))).to.deep.equal(new Set(['env']));
  });

  it('counts an empty variable as absent', () => {
    expect(loadSettings({ MILLRACE_PORT: '' }).sources.port).to.equal('default');
  });

  it('leaves variables of others alone', () => {
    expect(loadSettings({ PATH: '/bin', MILLER: 'x' }).settings.port).to.equal(8080);
  });

  it('tells whether a launcher watches over the process', () => {
    expect(loadSettings({ MILLRACE_SUPERVISED: '1' }).supervised).to.equal(true);
    expect(loadSettings({}).supervised).to.equal(false);
  });

  it('freezes what it gives, groups included', () => {
    const { settings, sources } = loadSettings({});
    for (const value of [settings, settings.redis, settings.worker, sources])
      expect(Object.isFrozen(value)).to.equal(true);
  });

  it('goes without a file of the environment, but not without the defaults', async () => {
    await rm(join(folder, 'production.yaml'));
    expect(loadSettings({ MILLRACE_ENVIRONMENT: 'production' }, folder).settings.port).to.equal(8080);
    await rm(join(folder, 'default.yaml'));
    expect(refused({}, folder).message).to.include('port (from config/default.yaml): expected a value');
  });

  const wrongVariables: readonly [string, NodeJS.ProcessEnv, Partial<ErrorPlace>][] = [
    [
      'text for a number',
      { MILLRACE_PORT: 'eighty' },
      { path: 'port', expected: 'integer', found: 'string "eighty"' },
    ],
    ['a fraction', { MILLRACE_PORT: '8.5' }, { path: 'port', expected: 'integer' }],
    ['a number in another notation', { MILLRACE_PORT: '1e3' }, { path: 'port', expected: 'integer' }],
    ['spaces', { MILLRACE_PORT: ' 80' }, { path: 'port', expected: 'integer' }],
    ['a number that is too large', { MILLRACE_PORT: '65536' }, { path: 'port', expected: 'at most 65535' }],
    [
      'a number that is too small',
      { MILLRACE_QUEUE_LOCK_MS: '-1' },
      { path: 'queue.lock_ms', expected: 'at least 200' },
    ],
    ['a word that is not in the list', { MILLRACE_LOG_LEVEL: 'loud' }, { path: 'log.level' }],
    ['an environment that is a path', { MILLRACE_ENVIRONMENT: '../secrets' }, { path: 'environment' }],
    [
      'a misspelt variable',
      { MILLRACE_REDIS_ULR: 'x' },
      { path: 'MILLRACE_REDIS_ULR', expected: 'a known name, such as MILLRACE_REDIS_URL' },
    ],
    ['a variable that resembles none', { MILLRACE_ZZZZZZZZZZ: 'x' }, { expected: 'a known name' }],
  ];
  for (const [what, env, place] of wrongVariables)
    it(`refuses ${what}`, () => {
      const { details } = refused(env);
      expect(details).to.have.lengthOf(1);
      expect(details[0]).to.include(place);
    });

  const wrongFiles: readonly [string, string, string][] = [
    ['a misspelt key', 'prot: 1', 'prot (from config/production.yaml): expected a known name, such as port'],
    [
      'a misspelt key in a group',
      'redis:\n  prefx: a',
      'redis.prefx (from config/production.yaml): expected a known name, such as redis.prefix',
    ],
    ['a value in place of a group', 'redis: 5', 'redis (from config/production.yaml): expected a known name'],
    [
      'a group in place of a value',
      'port:\n  a: 1',
      'port (from config/production.yaml): expected integer; found object',
    ],
    ['text for a number', 'port: "80"', 'expected integer; found string "80"'],
    ['a key twice', 'port: 1\nport: 2', 'expected a readable YAML file'],
    ['no YAML', 'port: [', 'expected a readable YAML file'],
    ['an environment of its own', 'environment: test', 'expected to be given by MILLRACE_ENVIRONMENT'],
    ['a prototype key', '__proto__:\n  port: 1', 'expected a known name'],
  ];
  for (const [what, yaml, message] of wrongFiles)
    it(`refuses a file with ${what}`, async () => {
      await writeFile(join(folder, 'production.yaml'), yaml);
      expect(refused({ MILLRACE_ENVIRONMENT: 'production' }, folder).message).to.include(message);
    });

  it('names both settings and both values of a broken rule, and where they come from', () => {
    const { message } = refused({ MILLRACE_QUEUE_STALLED_INTERVAL_MS: '700' });
    expect(message).to.equal(
      'Settings: queue.stalled_interval_ms (from MILLRACE_QUEUE_STALLED_INTERVAL_MS): expected less than queue.lock_ms ' +
        '(600, from config/default.yaml): otherwise a lost lock would be noticed later than it lasts; found number 700',
    );
  });

  it('tells everything that is wrong at once', () => {
    const { message, details } = refused({
      MILLRACE_PORT: 'x',
      MILLRACE_HOSTT: 'y',
      MILLRACE_LOG_LEVEL: 'z',
    });
    expect(details.map(({ path }) => path)).to.have.members(['port', 'MILLRACE_HOSTT', 'log.level']);
    expect(message.split('\n')).to.have.lengthOf(4);
  });

  it('does not repeat a secret that it refuses', () => {
    const { message } = refused({ MILLRACE_REDIS_URL: 'http://:hunter2@host' });
    expect(message).to.include('redis.url').and.not.include('hunter2');
  });
});
